//! What others may know of it.

use std::collections::BTreeSet;

use tcproute_common::Way;

use crate::workloads::cgroups::CgroupId;

/// As it is told.
pub const fn name_of(way: Way) -> &'static str {
    match way {
        Way::Held => "held",
        Way::Plain => "plain",
        Way::Past => "past",
    }
}

/// All that may become of connections.
pub const WAYS: [Way; 3] = [Way::Held, Way::Plain, Way::Past];

/// What was seen and done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Whether anything was looked at yet.
    pub looked: bool,
    /// The network namespaces that are known.
    pub namespaces: Vec<NamespaceState>,
    /// What went wrong, in words.
    pub failures: BTreeSet<String>,
}

impl State {
    /// How many network namespaces have it so.
    pub fn count(&self, way: Way) -> u64 {
        self.namespaces.iter().filter(|namespace| namespace.way == way).count() as u64
    }
}

/// A network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceState {
    /// Its number, as lsns(8) shows it.
    pub inode: u64,
    /// What becomes of routed connections.
    pub way: Way,
    /// Why they are held, or how they are redirected.
    pub why: String,
    /// The sidecar's user there, as the host numbers it.
    pub sidecar: u32,
    /// The workloads with processes in it.
    pub workloads: BTreeSet<CgroupId>,
}
