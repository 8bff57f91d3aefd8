//! Where in the maps every route, backend and endpoint stands, and what has to be written to get from the routes of a
//! workload to other ones.
//!
//! Nothing that a route leads to is ever written in place. A route whose backends or endpoints change gets a
//! new run of backends, and then its one entry in `routes` is replaced, which is atomic. Runs of endpoints
//! are shared by all backends that have the same ones.
//!
//! A change is staged, which takes room for what is new; when it was applied it is committed, else abandoned.

mod adopt;
mod fill;
mod reading;
mod stage;

use std::{collections::BTreeSet, sync::Arc};

pub use adopt::{Contents, Inconsistent};
pub use reading::Runs;
use rustc_hash::FxHashMap;
pub use stage::{Counting, Edit, Staged};
use tcproute_common::{Backend, RouteKey, RouteValue, SocketAddress};

use super::{
    change::{Retired, Run},
    counted::{Counted, Departed, RefName},
    limits::Limits,
    room::Room,
    shared::SharedRuns,
    space::Space,
    table::{BackendTable, RouteTable},
    workload_id::WorkloadId,
};

/// What the maps hold at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    limits: Limits,
    routes: FxHashMap<WorkloadId, OfWorkload>,
    /// How many routes there are.
    count: usize,
    backends: Space,
    endpoints: SharedRuns<SocketAddress>,
    /// By the weights that they are made from.
    turns: SharedRuns<u32>,
    cursors: Space,
    counted: Counted,
    /// BackendRefs that have an entry of `outcomes` and are in no route.
    departed: BTreeSet<Departed>,
}

/// The routes of a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OfWorkload {
    placed: FxHashMap<SocketAddress, Placed>,
    /// What they count for in what it may take.
    room: Room,
}

impl OfWorkload {
    fn put(&mut self, dialled: SocketAddress, new: Option<Placed>) -> Option<Placed> {
        self.room += new.as_ref().map(|placed| placed.table.room()).unwrap_or_default();
        let old = match new {
            Some(placed) => self.placed.insert(dialled, placed),
            None => self.placed.remove(&dialled),
        };
        self.room -= old.as_ref().map(|placed| placed.table.room()).unwrap_or_default();
        old
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    table: Arc<RouteTable>,
    first_backend: u32,
    round: Option<Box<Round>>,
}

/// The turns of a route, and its place in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Round {
    run: Run,
    cursor: u32,
}

impl Placed {
    fn run(&self) -> Run {
        // An empty run stands nowhere.
        Run { first: self.first_backend, len: self.table.backends.len() as u32 }
    }

    fn value(&self) -> RouteValue {
        let Run { first: first_backend, len: backend_count } = self.run();
        let (first_turn, turn_count, cursor) =
            self.round.as_ref().map_or((0, 0, 0), |round| (round.run.first, round.run.len, round.cursor));
        RouteValue { first_backend, backend_count, first_turn, turn_count, cursor }
    }
}

const fn key(workload: WorkloadId, dialled: SocketAddress) -> RouteKey {
    RouteKey { dialled, workload: workload.get() }
}

impl Layout {
    /// Of empty maps.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            routes: FxHashMap::default(),
            count: 0,
            backends: Space::new(limits.backends),
            endpoints: SharedRuns::new(limits.endpoints),
            turns: SharedRuns::new(limits.turns),
            cursors: Space::new(limits.cursors),
            counted: Counted::new(limits.outcomes),
            departed: BTreeSet::new(),
        }
    }

    /// Gives runs that were retired back for use. To be called when no program can still be reading them.
    pub fn reuse(&mut self, retired: &Retired) {
        let Retired { endpoints, backends, turns, cursors } = retired;
        for &run in endpoints {
            self.endpoints.give_back(run);
        }
        for &run in backends {
            self.backends.give_back(run);
        }
        for &run in turns {
            self.turns.give_back(run);
        }
        for &first in cursors {
            self.cursors.give_back(Run { first, len: 1 });
        }
    }

    /// The maps have been made larger, and hold the same at the same places.
    pub fn grow(&mut self, limits: Limits) {
        self.backends.grow(limits.backends);
        self.endpoints.grow(limits.endpoints);
        self.turns.grow(limits.turns);
        self.cursors.grow(limits.cursors);
        self.counted.grow(limits.outcomes);
        self.limits = limits;
    }

    fn placed(&self, workload: WorkloadId, dialled: &SocketAddress) -> Option<&Placed> {
        self.routes.get(&workload)?.placed.get(dialled)
    }

    /// What the maps have for a route.
    pub fn table(&self, workload: WorkloadId, dialled: &SocketAddress) -> Option<&Arc<RouteTable>> {
        self.placed(workload, dialled).map(|placed| &placed.table)
    }

    /// The addresses of a workload's routes.
    pub fn dialled(&self, workload: WorkloadId) -> impl Iterator<Item = &SocketAddress> {
        self.routes.get(&workload).into_iter().flat_map(|of| of.placed.keys())
    }

    /// What a workload's routes count for in what it may take.
    pub fn room(&self, workload: WorkloadId) -> Room {
        self.routes.get(&workload).map(|of| of.room).unwrap_or_default()
    }

    /// The workloads that have routes.
    pub fn workloads(&self) -> impl Iterator<Item = WorkloadId> {
        self.routes.keys().copied()
    }

    /// The endpoints that each route of a workload leads to.
    pub fn endpoints(&self, workload: WorkloadId) -> impl Iterator<Item = (SocketAddress, SocketAddress)> {
        self.routes.get(&workload).into_iter().flat_map(|of| &of.placed).flat_map(|(&dialled, placed)| {
            let endpoints = placed.table.backends.iter().flat_map(|backend| backend.endpoints.iter());
            endpoints.map(move |&endpoint| (dialled, endpoint))
        })
    }

    /// The entry of `outcomes` that counts for a backendRef.
    pub fn counted_at(&self, key: &RouteKey, name: &RefName) -> Option<u32> {
        self.counted.get(key, name)
    }

    /// All backendRefs that have an entry of `outcomes`.
    pub fn counted(&self) -> impl Iterator<Item = (&RouteKey, &Arc<RefName>, u32)> {
        self.counted.all()
    }

    /// The workloads for which anything is counted that is not in their routes any more.
    pub fn departed_workloads(&self) -> BTreeSet<WorkloadId> {
        self.departed.iter().filter_map(|departed| WorkloadId::new(departed.key.workload)).collect()
    }

    /// BackendRefs that have an entry of `outcomes` and have left their route.
    pub const fn departed(&self) -> &BTreeSet<Departed> {
        &self.departed
    }

    /// Gives an entry of `outcomes` back for use. To be called when neither a program nor a socket can lead there any
    /// more, and it was emptied.
    pub fn give_back(&mut self, departed: &Departed) {
        if self.departed.remove(departed) {
            self.counted.give_back(departed);
        }
    }

    /// How many entries are taken, counted and not read from the maps. Retired runs are, until they are reused.
    pub fn taken(&self) -> Limits {
        Limits {
            routes: u32::try_from(self.count).unwrap_or(u32::MAX),
            backends: self.limits.backends - self.backends.free_entries(),
            endpoints: self.limits.endpoints - self.endpoints.free_entries(),
            // The first entry stands for none.
            outcomes: self.limits.outcomes - 1 - self.counted.free_entries(),
            turns: self.limits.turns - self.turns.free_entries(),
            cursors: self.limits.cursors - self.cursors.free_entries(),
        }
    }

    /// How many there can be.
    pub const fn limits(&self) -> Limits {
        self.limits
    }
}

const fn entry(backend: &BackendTable, endpoints: Run, outcomes: u32) -> Backend {
    Backend {
        weight: backend.weight,
        threshold: backend.threshold,
        alias: backend.alias,
        first_endpoint: endpoints.first,
        endpoint_count: endpoints.len,
        outcomes,
    }
}

#[cfg(test)]
mod tests;
