//! The keys and values of a mapping. With `<<: *defaults` in it those of another are as if they were written there
//! (<https://yaml.org/type/merge.html>, which the parser of Kuma follows as well).

use std::collections::HashSet;

use super::node::{Inside, Node};

type Entry<'t> = (Node<'t>, Node<'t>);

/// Keys and values.
#[derive(Debug, Clone)]
pub(super) enum Entries<'t> {
    Written(Inside<'t>),
    Merged(std::vec::IntoIter<Entry<'t>>),
}

impl<'t> Iterator for Entries<'t> {
    type Item = Entry<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Written(inside) => Some((inside.next()?, inside.next()?)),
            Self::Merged(entries) => entries.next(),
        }
    }
}

impl<'t> Node<'t> {
    /// The keys and values of a mapping, with those of others that it merges; none of anything else.
    pub(super) fn entries(self) -> Entries<'t> {
        let written = Entries::Written(self.written());
        if self.merges() { Entries::Merged(merged(written.collect()).into_iter()) } else { written }
    }

    /// The value of a key: the first, if there are more.
    pub(super) fn get(self, name: &str) -> Option<Self> {
        self.entries().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
    }
}

/// Whether this scalar is a merge key.
pub(super) fn is_merge_key(text: &str, is_plain: bool) -> bool {
    is_plain && text == "<<"
}

/// Takes in what the merge keys of a mapping name. A key of the mapping itself is the stronger, and so is one
/// of an earlier mapping. A merge key that names no mapping stays, for the reader to complain of.
fn merged(entries: Vec<Entry<'_>>) -> Vec<Entry<'_>> {
    let (merges, mut own): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(key, value)| is_merge(*key) && mappings(*value).is_some());
    let mut known: HashSet<&str> = own.iter().filter_map(|(key, _)| key.text()).collect();
    for (key, value) in
        merges.iter().filter_map(|(_, value)| mappings(*value)).flatten().flat_map(Node::entries)
    {
        if key.text().is_some_and(|text| known.insert(text)) {
            own.push((key, value));
        }
    }
    own
}

fn is_merge(key: Node<'_>) -> bool {
    key.text().is_some_and(|text| is_merge_key(text, key.is_plain()))
}

/// The mappings that a merge key names: one, or a list of them.
fn mappings(value: Node<'_>) -> Option<Vec<Node<'_>>> {
    let nodes: Vec<Node<'_>> = if value.is_sequence() { value.items().collect() } else { vec![value] };
    nodes.iter().all(|node| node.is_mapping()).then_some(nodes)
}
