//! The path to a field, such as `spec.to[0].targetRef`: made on the way down, and followed again.

use std::fmt;

use super::node::{Mark, Node, Value};

/// A value's path; each is on the stack of who reads the value around it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl Path<'_> {
    /// A path below this one.
    pub(super) fn join(&self, below: &str) -> String {
        match self {
            Self::Root => below.to_owned(),
            _ if below.is_empty() => self.to_string(),
            _ => format!("{self}.{below}"),
        }
    }
}

/// The paths that lead to this one, and itself.
pub(super) fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices(['.', '[']).map(|(end, _)| end).chain([path.len()]);
    [""].into_iter().chain(ends.map(|end| &path[..end]))
}

/// The value at a path.
pub(super) fn find<'n>(node: &'n Node, path: &str) -> Option<&'n Node> {
    let mut node = node;
    let mut rest = path;
    while let Some((next, behind)) = step(node, rest) {
        (node, rest) = (next, behind);
    }
    rest.is_empty().then_some(node)
}

/// Where the value at a path is, or else the nearest one on the way there.
pub(super) fn follow(node: &Node, path: &str) -> Mark {
    let mut node = node;
    let mut rest = path;
    while let Some((next, behind)) = step(node, rest) {
        (node, rest) = (next, behind);
    }
    node.at
}

fn step<'n, 'p>(node: &'n Node, path: &'p str) -> Option<(&'n Node, &'p str)> {
    if path.is_empty() {
        return None;
    }
    match &node.value {
        Value::Mapping(entries) => {
            let path = path.strip_prefix('.').unwrap_or(path);
            // A key may have dots itself.
            let behind = |key: &Node| {
                let name = key.text()?;
                if let Some(quoted) = path.strip_prefix("[\"") {
                    return quoted.strip_prefix(name)?.strip_prefix("\"]");
                }
                let rest = path.strip_prefix(name)?;
                (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
            };
            entries.iter().find_map(|(key, value)| Some((value, behind(key)?)))
        }
        Value::Sequence(items) => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            Some((items.get(index.parse::<usize>().ok()?)?, rest))
        }
        Value::Quoted(_) | Value::Plain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_in_go() {
        let to = Path::Field(&Path::Field(&Path::Root, "spec"), "to").to_string();
        assert_eq!(to, "spec.to");
        let item = Path::Index(&Path::Field(&Path::Root, "items"), 2).join("name");
        assert_eq!(item, "items[2].name");
    }

    #[test]
    fn the_prefixes_of_a_path_end_with_itself() {
        let all: Vec<&str> = prefixes("spec.to[0].rules").collect();
        assert_eq!(all, ["", "spec", "spec.to", "spec.to[0]", "spec.to[0].rules"]);
    }
}
