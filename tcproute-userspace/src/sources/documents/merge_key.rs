//! `<<: *defaults` in a mapping: its keys as if they were written there (<https://yaml.org/type/merge.html>, which
//! the parser of Kuma follows as well).

use std::collections::HashSet;

use super::node::{Node, Value};

/// Takes in what the merge keys of a mapping name. A key of the mapping itself is the stronger, and so is one
/// of an earlier mapping. A merge key that names no mapping stays, for the reader to complain of.
pub(super) fn merged(entries: Vec<(Node, Node)>) -> Vec<(Node, Node)> {
    if !entries.iter().any(|(key, value)| is_merge(key) && mappings(value).is_some()) {
        return entries;
    }
    let (merges, mut own): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(key, value)| is_merge(key) && mappings(value).is_some());
    let mut known: HashSet<String> =
        own.iter().filter_map(|(key, _)| key.text().map(str::to_owned)).collect();
    for mapping in merges.iter().filter_map(|(_, value)| mappings(value)).flatten() {
        for (key, value) in mapping {
            if key.text().is_some_and(|text| known.insert(text.to_owned())) {
                own.push((key.clone(), value.clone()));
            }
        }
    }
    own
}

fn is_merge(key: &Node) -> bool {
    matches!(&key.value, Value::Plain(text) if &**text == "<<")
}

/// The mappings that a merge key names: one, or a list of them.
fn mappings(value: &Node) -> Option<Vec<&[(Node, Node)]>> {
    match &value.value {
        Value::Sequence(nodes) => nodes.iter().map(mapping).collect(),
        _ => mapping(value).map(|entries| vec![entries]),
    }
}

fn mapping(node: &Node) -> Option<&[(Node, Node)]> {
    match &node.value {
        Value::Mapping(entries) => Some(entries),
        _ => None,
    }
}
