//! What stands for a resource, wherever it is read.

use std::fmt;

use super::{cluster_service::ClusterService, header::Key, mesh::Mesh};

/// What no two resources share: kind, mesh and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// As in `type` or `kind`.
    pub kind: &'static str,
    /// Mesh and name.
    pub key: Key,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key: (mesh, name) } = self;
        if matches!(*kind, Mesh::KIND | ClusterService::KIND) {
            write!(f, "{kind} {name}")
        } else {
            write!(f, "{kind} {name} of mesh {mesh}")
        }
    }
}
