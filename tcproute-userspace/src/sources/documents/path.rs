//! The path to a field, such as `spec.to[0].targetRef`: made on the way down, and followed again.

use std::{collections::HashMap, fmt};

use super::{
    mark::Mark,
    node::{Inside, Node},
};

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

/// Where the value at a path is, or else the nearest one on the way there.
pub(super) fn follow(node: Node<'_>, path: &str) -> Mark {
    Places::new(node).find(path)
}

/// Finds one place after the other. What is asked for in the order of the text is found without beginning anew.
#[derive(Debug)]
pub(super) struct Places<'t> {
    root: Node<'t>,
    /// By sequence: the item that was found last, and those that follow it.
    last: HashMap<usize, (usize, Inside<'t>)>,
}

impl<'t> Places<'t> {
    pub(super) fn new(root: Node<'t>) -> Self {
        Self { root, last: HashMap::new() }
    }

    /// Where the value at a path is, or else the nearest one on the way there.
    pub(super) fn find(&mut self, path: &str) -> Mark {
        self.nearest(path).0.at()
    }

    /// The value at a path, if it is there.
    pub(super) fn value(&mut self, path: &str) -> Option<Node<'t>> {
        let (node, rest) = self.nearest(path);
        rest.is_empty().then_some(node)
    }

    /// How far a path leads, and what is left of it.
    fn nearest<'p>(&mut self, path: &'p str) -> (Node<'t>, &'p str) {
        let mut node = self.root;
        let mut rest = path;
        while let Some((next, behind)) = self.step(node, rest) {
            (node, rest) = (next, behind);
        }
        (node, rest)
    }

    fn step<'p>(&mut self, node: Node<'t>, path: &'p str) -> Option<(Node<'t>, &'p str)> {
        if path.is_empty() {
            return None;
        }
        if node.is_sequence() {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            return Some((self.item(node, index.parse().ok()?)?, rest));
        }
        let path = path.strip_prefix('.').unwrap_or(path);
        // A key may have dots itself.
        let behind = |key: Node<'_>| {
            let name = key.text()?;
            if let Some(quoted) = path.strip_prefix("[\"") {
                return quoted.strip_prefix(name)?.strip_prefix("\"]");
            }
            let rest = path.strip_prefix(name)?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
        };
        node.entries().find_map(|(key, value)| Some((value, behind(key)?)))
    }

    fn item(&mut self, sequence: Node<'t>, number: usize) -> Option<Node<'t>> {
        // What is anchored may be the same sequence by another path, which does no harm: it has the same items.
        let place = self.last.entry(sequence.number()).or_insert_with(|| (0, sequence.items()));
        if number < place.0 {
            *place = (0, sequence.items());
        }
        while place.0 < number {
            place.1.next()?;
            place.0 += 1;
        }
        // It may be asked for again.
        place.1.clone().next()
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
