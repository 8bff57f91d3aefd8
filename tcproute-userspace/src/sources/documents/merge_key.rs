//! `<<: *defaults` in a mapping: its keys as if they were written there (<https://yaml.org/type/merge.html>, which
//! the parser of Kuma follows as well).

use std::collections::HashSet;

use super::node::Node;

type Entry<'t> = (Node<'t>, Node<'t>);

/// Whether this scalar is a merge key.
pub(super) fn is_merge_key(text: &str, is_plain: bool) -> bool {
    is_plain && text == "<<"
}

/// Takes in what the merge keys of a mapping name. A key of the mapping itself is the stronger, and so is one
/// of an earlier mapping. A merge key that names no mapping stays, for the reader to complain of.
pub(super) fn merged(entries: Vec<Entry<'_>>) -> Vec<Entry<'_>> {
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
