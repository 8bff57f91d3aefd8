//! Merging what several policies say about one destination, as JSON merge patch (RFC 7386) does: a list is
//! replaced whole.

use std::collections::BTreeMap;

use crate::resources::{BackendRef, MeshTcpRoute, Rule, ServiceName};

/// What applies to a destination in the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Conf<'a> {
    /// The destination itself, with weight 1.
    #[default]
    Itself,
    /// These backends.
    Backends(&'a [BackendRef]),
}

/// The outcome for one destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged<'a> {
    /// What applies.
    pub conf: Conf<'a>,
    /// The policies that name the destination, from weak to strong; empty if none does.
    pub policies: Vec<&'a MeshTcpRoute>,
}

/// Merges what the policies, given from weak to strong, say about each destination that any of them names.
pub fn merge<'a>(
    policies: impl IntoIterator<Item = &'a MeshTcpRoute>,
) -> BTreeMap<&'a ServiceName, Merged<'a>> {
    let mut all: BTreeMap<&ServiceName, Merged<'a>> = BTreeMap::new();
    for policy in policies {
        for to in &policy.to {
            let merged = all.entry(&to.service).or_default();
            match &to.rule {
                Rule::Itself => merged.conf = Conf::Itself,
                Rule::Unchanged => {}
                Rule::Backends(backends) => merged.conf = Conf::Backends(backends),
            }
            // One policy may name a destination more than once.
            if merged.policies.last().is_none_or(|last| !std::ptr::eq(*last, policy)) {
                merged.policies.push(policy);
            }
        }
    }
    all
}
