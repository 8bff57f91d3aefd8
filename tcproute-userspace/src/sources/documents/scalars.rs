//! The values of a document by the names that lead to them, for one that is neither resources nor settings. It may be
//! anybody's.

use super::{
    node::Node,
    yaml::{Document, Documents},
};

/// So many values and collections are looked at: aliases can make a few lines stand for any number.
const MOST: usize = 100_000;

/// What lies behind longer paths is passed over.
const LONGEST: usize = 256;

/// A value that is no collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The names that lead to it, by dots. Items of a list have that of the list.
    pub path: String,
    /// As it is written.
    pub text: String,
}

/// Those of the first document of a text, or why they cannot be told. What is wrong is not quoted.
pub fn scalars(text: &str) -> Result<Vec<Scalar>, String> {
    let content = match Documents::new(text).next() {
        Ok(None) => return Ok(Vec::new()),
        Ok(Some(Document::Whole(content) | Document::WithItems(content))) => content,
        Err(fault) => return Err(format!("line {} is no YAML", fault.at.line)),
    };
    if content.beyond.is_some() {
        return Err("it has too many values".to_owned());
    }
    let (mut found, mut looked_at) = (Vec::new(), 0);
    let mut waiting: Vec<(String, Node<'_>)> =
        content.root().map(|root| (String::new(), root)).into_iter().collect();
    while let Some((path, node)) = waiting.pop() {
        looked_at += 1;
        if looked_at > MOST {
            return Err("it has too many values".to_owned());
        }
        if let Some(text) = node.text() {
            found.push(Scalar { path, text: text.to_owned() });
        } else if node.is_sequence() {
            waiting.extend(node.items().map(|item| (path.clone(), item)));
        } else {
            let below = |(key, value): (Node<'_>, _)| {
                let name = key.text().unwrap_or_default();
                (if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }, value)
            };
            waiting.extend(node.entries().map(below).filter(|(path, _)| path.len() <= LONGEST));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_names_that_lead_to_them() {
        let text = "a:\n  b: [{c: 1}, {c: x}]\n  d: \"2\"\ne: {}\n";
        let mut found: Vec<(String, String)> =
            scalars(text).unwrap().into_iter().map(|it| (it.path, it.text)).collect();
        found.sort();
        let expected = [("a.b.c", "1"), ("a.b.c", "x"), ("a.d", "2")];
        assert_eq!(found, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
        assert_eq!(scalars(""), Ok(Vec::new()));
    }

    #[test]
    fn what_cannot_be_read_is_not_quoted() {
        let error = scalars("a: 1\nsecret-token: [\n").unwrap_err();
        assert!(error.contains("is no YAML") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_few_lines_do_not_stand_for_any_number_of_values() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let one = format!("*a{}, ", i - 1).repeat(10);
            text.extend([&*format!("a{i}: &a{i} [{one}x]"), "\n"]);
        }
        assert!(scalars(&text).is_err());
    }
}
