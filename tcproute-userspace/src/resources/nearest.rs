//! What may have been meant by a misspelt name.

/// The known name that is most like a misspelt one, if any is like it at all.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // What differs much in length is not alike, and the distance of long names is dear.
    let alike = |known: &&str| name.len().abs_diff(known.len()) <= name.len().max(known.len()) / 3;
    let near =
        |known: &'a str| (strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()), known);
    let (distance, best) = known.into_iter().filter(alike).map(near).min()?;
    (distance <= name.len().max(best.len()) / 3).then_some(best)
}

/// The end of what is told of such a name: the one that may have been meant, or nothing.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|near| format!(", did you mean {near:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_near_is_proposed_for_nonsense() {
        assert_eq!(nearest("xyzzy", ["weight", "name"]), None);
        assert_eq!(nearest("wieght", ["weight", "name"]), Some("weight"));
    }
}
