//! Settings of a program: one document with names, and with each a value, several, or pairs. Read as resources are, so
//! that what is wrong is told with its place.

use std::path::Path as FilePath;

use super::{
    super::error::{InputError, InputErrors},
    mark::Mark,
    node::Node,
    yaml::{Document, Documents},
};

/// What is set of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// One value, or those of a list; of a mapping `name=value`.
    pub values: Vec<String>,
    /// Line and column of the name, counted from 1.
    pub at: (u32, u32),
}

/// Reads the settings of a file, or tells everything that is wrong.
pub fn settings(file: &FilePath, text: &str) -> Result<Vec<Setting>, InputErrors> {
    let wrong = |at: Option<Mark>, message: String| InputError::new(file, at, message);
    let mut documents = Documents::new(text);
    let content = match documents.next() {
        Ok(None) => return Ok(Vec::new()),
        Ok(Some(Document::Whole(content) | Document::WithItems(content))) => content,
        Err(fault) => return Err(InputErrors(vec![wrong(Some(fault.at), fault.message)])),
    };
    let Some(root) = content.root().filter(|root| !root.is_null()) else { return Ok(Vec::new()) };
    if !root.is_mapping() || content.beyond.is_some() {
        return Err(InputErrors(vec![wrong(Some(root.at()), "must be a mapping of settings".to_owned())]));
    }
    let (mut settings, mut errors) = (Vec::<Setting>::new(), Vec::new());
    for (key, value) in root.entries() {
        let at = key.at();
        let name = key.text().unwrap_or_default().to_owned();
        if settings.iter().any(|before| before.name == name) {
            errors.push(wrong(Some(at), format!("{name} is there twice")));
        }
        match values(value) {
            Some(values) => settings.push(Setting { name, values, at: (at.line, at.column) }),
            None => {
                let message =
                    format!("{name} must be a value, a list of values, or pairs of names and values");
                errors.push(wrong(Some(value.at()), message));
            }
        }
    }
    match documents.next() {
        Ok(None) => {}
        Ok(Some(_)) => errors.push(wrong(None, "has more than one document".to_owned())),
        Err(fault) => errors.push(wrong(Some(fault.at), fault.message)),
    }
    if errors.is_empty() { Ok(settings) } else { Err(InputErrors(errors)) }
}

fn values(node: Node<'_>) -> Option<Vec<String>> {
    let text = |node: Node<'_>| node.text().filter(|_| !node.is_null()).map(str::to_owned);
    if node.is_sequence() {
        return node.items().map(text).collect();
    }
    if node.is_mapping() {
        return node.entries().map(|(key, value)| Some(format!("{}={}", text(key)?, text(value)?))).collect();
    }
    text(node).map(|text| vec![text])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Setting>, String> {
        settings(FilePath::new("c.yaml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn values_lists_and_pairs_are_read() {
        let text = "url: https://cp:5682\npoll-interval: 2\nmesh: [a, b]\nworkload:\n  web: /web.service\n  db: /db\n";
        let read: Vec<(String, Vec<String>, u32)> =
            read(text).unwrap().into_iter().map(|it| (it.name, it.values, it.at.0)).collect();
        let expected = [
            ("url", vec!["https://cp:5682"], 1),
            ("poll-interval", vec!["2"], 2),
            ("mesh", vec!["a", "b"], 3),
            ("workload", vec!["web=/web.service", "db=/db"], 4),
        ];
        let expected = expected.map(|(name, values, line)| {
            (name.to_owned(), values.into_iter().map(str::to_owned).collect(), line)
        });
        assert_eq!(read, expected);
        assert_eq!(super::settings(FilePath::new("c"), "# nothing\n").unwrap(), []);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, wrong) in [
            ("- a\n", "c.yaml:1:1: must be a mapping of settings"),
            ("a: 1\na: 2\n", "c.yaml:2:1: a is there twice"),
            (
                "a: {b: [1]}\n",
                "c.yaml:1:4: a must be a value, a list of values, or pairs of names and values",
            ),
            ("a:\n", "c.yaml:1:2: a must be a value, a list of values, or pairs of names and values"),
            ("a: 1\n---\nb: 2\n", "c.yaml: has more than one document"),
        ] {
            assert_eq!(read(text).unwrap_err(), wrong);
        }
        assert!(read("a: [").unwrap_err().starts_with("c.yaml:"));
    }
}
