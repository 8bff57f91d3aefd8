//! Matching and ordering of policies.

use std::cmp::Ordering;

use crate::resources::{Dataplane, Inbound, MeshTcpRoute, Selector, Tags};

/// Whether any inbound of the Dataplane matches. `Mesh` matches always, also a Dataplane without inbounds.
pub fn selects(selector: &Selector, dataplane: &Dataplane) -> bool {
    let any = |matches: &dyn Fn(&Inbound) -> bool| dataplane.inbounds.iter().any(matches);
    match selector {
        Selector::Mesh => true,
        Selector::MeshSubset(tags) => any(&|inbound| includes(&inbound.tags, tags)),
        Selector::MeshService(name) => any(&|inbound| inbound.service == *name),
        Selector::MeshServiceSubset(name, tags) => {
            any(&|inbound| inbound.service == *name && includes(&inbound.tags, tags))
        }
    }
}

/// Whether all tags of `wanted` are among `tags`, with their values.
pub(crate) fn includes(tags: &Tags, wanted: &Tags) -> bool {
    wanted.iter().all(|(key, value)| tags.get(key) == Some(value))
}

/// The order of strength of Kuma 2.4: first how specific the targetRef is, then the name, of which the
/// lexicographically greater is the stronger.
pub fn from_weak_to_strong(a: &MeshTcpRoute, b: &MeshTcpRoute) -> Ordering {
    (a.selector.strength(), &a.name).cmp(&(b.selector.strength(), &b.name))
}
