//! Selectors of labels, as kubectl has them.

use std::collections::BTreeSet;

use kube::core::{Expression, Selector};

/// Reads `k=v`, `k==v`, `k!=v`, `k`, `!k`, `k in (a,b)` and `k notin (a,b)`, several by comma, all of which have to be.
pub(super) fn selector(text: &str) -> Result<Selector, String> {
    let mut all = Vec::new();
    let mut rest = text;
    loop {
        let end = end(rest)?;
        all.push(expression(rest[..end].trim())?);
        match rest.get(end + 1..) {
            Some(more) => rest = more,
            None => return Ok(all.into_iter().collect()),
        }
    }
}

/// Where the first one ends: at a comma outside of parentheses.
fn end(text: &str) -> Result<usize, String> {
    let mut inside = false;
    for (at, c) in text.char_indices() {
        match (c, inside) {
            ('(', false) => inside = true,
            (')', true) => inside = false,
            (',', false) => return Ok(at),
            ('(' | ')', _) => return Err(format!("{text:?}: parentheses do not match")),
            _ => {}
        }
    }
    if inside { Err(format!("{text:?}: parentheses do not match")) } else { Ok(text.len()) }
}

fn expression(text: &str) -> Result<Expression, String> {
    if let Some((before, values)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let values = values.split(',').map(|it| value(it.trim())).collect::<Result<BTreeSet<_>, _>>()?;
        return match before.split_whitespace().collect::<Vec<_>>().as_slice() {
            [name, "in"] => Ok(Expression::In(key(name)?, values)),
            [name, "notin"] => Ok(Expression::NotIn(key(name)?, values)),
            _ => Err(format!("{text:?}: before a set there must be KEY in or KEY notin")),
        };
    }
    if let Some((name, of)) = text.split_once("!=") {
        return Ok(Expression::NotEqual(key(name.trim())?, value(of.trim())?));
    }
    if let Some((name, of)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Expression::Equal(key(name.trim())?, value(of.trim())?));
    }
    match text.strip_prefix('!') {
        Some(name) => Ok(Expression::DoesNotExist(key(name.trim())?)),
        None => Ok(Expression::Exists(key(text)?)),
    }
}

fn key(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if text.is_empty() || !text.chars().all(is_allowed) {
        return Err(format!("{text:?} is no name of a label"));
    }
    Ok(text.to_owned())
}

/// May be empty. Those of tags have more characters than those of labels.
fn value(text: &str) -> Result<String, String> {
    let has_syntax = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '=' | '!' | ',');
    if text.contains(has_syntax) {
        Err(format!("{text:?} is no value of a label"))
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::core::SelectorExt as _;

    use super::*;

    fn selects(text: &str) -> bool {
        let labels = [("app", "web"), ("kuma.io/zone", "east"), ("empty", ""), ("version", "v1:a")];
        let labels: BTreeMap<String, String> =
            labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        selector(text).unwrap_or_else(|why| panic!("{text}: {why}")).matches(&labels)
    }

    #[test]
    fn all_that_kubectl_knows_is_read() {
        for text in [
            "app=web",
            "app==web",
            "app = web , kuma.io/zone=east",
            "app!=db",
            "other!=x",
            "app",
            "!other",
            "! other",
            "app in (db, web)",
            "app notin (db,cache),app",
            "other notin (x)",
            "empty=",
            "empty in ()",
            "version=v1:a",
        ] {
            assert!(selects(text), "{text}");
        }
        for text in ["app=db", "app!=web", "other", "!app", "app in (db)", "app notin (web)", "app=web,other"]
        {
            assert!(!selects(text), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            ",",
            "app=web,",
            "=web",
            "app in web",
            "app in (web",
            "app in web)",
            "app out (web)",
            "a b",
            "a=b=c",
            "app in ((web))",
            "a>1",
            "!a=b",
            "in (a)",
            "a\u{1b}=b",
        ] {
            assert!(selector(text).is_err(), "{text}");
        }
    }
}
