//! Merging what several policies say about one destination, as JSON merge patch (RFC 7386) does: a list is
//! replaced whole.

use crate::resources::{BackendRef, MeshTcpRoute, Rule, ServiceName};

/// What applies to a destination in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conf<'a> {
    /// The destination itself, with weight 1.
    Itself,
    /// These backends.
    Backends(&'a [BackendRef]),
}

/// The outcome for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged<'a> {
    /// What applies.
    pub conf: Conf<'a>,
    /// The policies that name the destination, from weak to strong; empty if none does.
    pub policies: Vec<&'a MeshTcpRoute>,
}

/// Merges what the policies, given from weak to strong, say about `service`.
pub fn merge<'a>(policies: &[&'a MeshTcpRoute], service: &ServiceName) -> Merged<'a> {
    let mut merged = Merged { conf: Conf::Itself, policies: Vec::new() };
    for policy in policies {
        let mut names = false;
        for to in policy.to.iter().filter(|to| to.service == *service) {
            names = true;
            match &to.rule {
                Rule::Itself => merged.conf = Conf::Itself,
                Rule::Unchanged => {}
                Rule::Backends(backends) => merged.conf = Conf::Backends(backends),
            }
        }
        if names {
            merged.policies.push(policy);
        }
    }
    merged
}
