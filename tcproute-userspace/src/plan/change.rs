//! What is to be written to the maps, in an order in which every connection sees the old route or the new.

use std::sync::Arc;

use tcproute_common::{Backend, BackendRef, RouteKey, RouteValue, SocketAddress};

/// A run of entries in one of the flat arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// Index of the first entry.
    pub first: u32,
    /// How many; 0 for none at all.
    pub len: u32,
}

/// One entry of the map `routes`, before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteChange {
    /// The dialled address and who dials it.
    pub key: RouteKey,
    /// `None` if the route is new.
    pub old: Option<RouteValue>,
    /// `None` if the route goes away.
    pub new: Option<RouteValue>,
}

/// To be applied in the order of the fields: first what no route points at yet, then the routes themselves.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Runs of endpoints to write, each from an index on.
    pub endpoints: Vec<(u32, Arc<[SocketAddress]>)>,
    /// Runs of backends to write.
    pub backends: Vec<(u32, Vec<Backend>)>,
    /// Entries of `backend_refs` to set.
    pub backend_refs: Vec<(u32, BackendRef)>,
    /// Runs of turns to write.
    pub turns: Vec<(u32, Vec<u32>)>,
    /// Cursors to set to the beginning.
    pub cursors: Vec<u32>,
    /// Routes to set or to remove.
    pub routes: Vec<RouteChange>,
}

/// Runs that no route leads to any more. They may be reused once no program that began before the change is still
/// running.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// In the map `endpoints`.
    pub endpoints: Vec<Run>,
    /// In the map `backends`.
    pub backends: Vec<Run>,
    /// In the map `turns`.
    pub turns: Vec<Run>,
    /// In the map `cursors`.
    pub cursors: Vec<u32>,
}

impl Retired {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
            && self.backends.is_empty()
            && self.turns.is_empty()
            && self.cursors.is_empty()
    }
}

impl Change {
    /// Whether there is nothing to do.
    pub const fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}
