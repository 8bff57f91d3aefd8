//! Which two names differ by a slip of the pen: by a letter that is wrong, missing or one too many, or by two that have
//! changed places.
//!
//! Names are often made to differ by little: `db-1` and `db-2`, `order` and `orders`, `cache-a` and `cache-b`. So a
//! slip is one in a word of four letters and more, not in a digit, and not an `s` at the end.

use std::{collections::HashMap, hash::BuildHasher};

use rustc_hash::FxBuildHasher;

/// Words that are shorter are too much alike.
const SHORTEST: usize = 4;

/// Known names, found by those that are nearly the same.
pub(super) struct Names<'a> {
    names: Vec<&'a str>,
    /// By the name, and by what is left of it without one of its letters: two that differ by a letter share one.
    variants: HashMap<u64, Vec<u32>, FxBuildHasher>,
}

impl<'a> Names<'a> {
    pub(super) fn new(names: impl Iterator<Item = &'a str>) -> Self {
        let mut all = Self { names: Vec::new(), variants: HashMap::default() };
        for name in names {
            let number = all.names.len() as u32;
            all.names.push(name);
            for variant in variants(name) {
                all.variants.entry(variant).or_default().push(number);
            }
        }
        all
    }

    /// The known name that this one was meant to be: the first, if there are more.
    pub(super) fn meant(&self, name: &str) -> Option<&'a str> {
        let near = variants(name).filter_map(|variant| self.variants.get(&variant)).flatten();
        let names = near.map(|number| self.names[*number as usize]);
        names.filter(|known| is_slip(name, known)).min()
    }
}

fn variants(name: &str) -> impl Iterator<Item = u64> {
    let hash = |before: &str, behind: &str| {
        // As one text: where the letter was left out must not matter.
        FxBuildHasher.hash_one([before, behind].concat())
    };
    let without = name.char_indices().map(move |(at, c)| hash(&name[..at], &name[at + c.len_utf8()..]));
    without.chain([hash(name, "")])
}

/// Whether one was written for the other.
pub(super) fn is_slip(name: &str, known: &str) -> bool {
    let words = |name| str::split(name, ['-', '.', '_', ':', '/']);
    if words(name).count() != words(known).count() {
        return false;
    }
    let mut differing = words(name).zip(words(known)).filter(|(a, b)| a != b);
    match (differing.next(), differing.next()) {
        (Some((word, known)), None) => is_slip_in_word(word, known),
        _ => false,
    }
}

fn is_slip_in_word(word: &str, known: &str) -> bool {
    let letters = |word: &str| word.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let digits = |word: &str| word.chars().filter(char::is_ascii_digit).collect::<String>();
    let is_plural = |one: &str, many: &str| many.strip_suffix('s') == Some(one);
    word.len().min(known.len()) >= SHORTEST
        && letters(word) != letters(known)
        && digits(word) == digits(known)
        && !is_plural(word, known)
        && !is_plural(known, word)
        && word.len().abs_diff(known.len()) <= 1
        && strsim::damerau_levenshtein(word, known) == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slip_is_found() {
        for slip in ["backned", "backen", "backendd", "bakend", "backond"] {
            assert!(is_slip(slip, "backend"), "{slip}");
            let known = Names::new(["frontend", "backend", "database"].into_iter());
            assert_eq!(known.meant(slip), Some("backend"), "{slip}");
        }
        assert!(is_slip("backned_demo_svc_3001", "backend_demo_svc_3001"));
    }

    #[test]
    fn what_is_made_to_differ_is_no_slip() {
        for (one, other) in [
            ("backend", "backend"),
            ("backend-v1", "backend-v2"),
            ("backend1", "backend2"),
            ("backend", "backend2"),
            ("order", "orders"),
            ("cache-a", "cache-b"),
            ("db-eu", "db-us"),
            ("backend_a_svc_3001", "backend_a_svc_3002"),
            ("backend", "back-end"),
            ("web", "weh"),
            ("backend", "banckned"),
        ] {
            assert!(!is_slip(one, other) && !is_slip(other, one), "{one} {other}");
        }
    }

    proptest! {
        /// What is looked up is what comparing with each name finds.
        #[test]
        fn all_that_are_alike_are_found(
            names in proptest::collection::vec("[a-c]{3,6}(-[a-c]{3,5})?", 0..20),
            name in "[a-c]{3,6}(-[a-c]{3,5})?",
        ) {
            let known = Names::new(names.iter().map(String::as_str));
            let expected = names.iter().map(String::as_str).filter(|known| is_slip(&name, known)).min();
            prop_assert_eq!(known.meant(&name), expected);
        }

        #[test]
        fn any_text_is_taken(a in "\\PC{0,12}", b in "\\PC{0,12}") {
            prop_assert_eq!(is_slip(&a, &b), is_slip(&b, &a));
            Names::new([a.as_str()].into_iter()).meant(&b);
        }
    }
}
