//! A route as the kernel needs it, without saying where in the maps it stands.

use std::{collections::BTreeSet, net::SocketAddr, num::NonZeroU32, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};
use tcproute_common::SocketAddress;

use super::{
    alias::alias_slots,
    counted::RefName,
    room::Room,
    turns::{Selection, reduced},
};
use crate::routing::Destination;

/// The content of the maps for one route. Shared by all workloads that have it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RouteTable {
    /// Those that have a weight, in the order of the policy. If none has, one that stands for nobody and refuses.
    pub(crate) backends: Box<[BackendTable]>,
    /// Those that have none, sorted. They may still have connections from when they had one.
    pub(crate) idle: Box<[Arc<RefName>]>,
    /// The weights from which its turns are made; `None` if the backends are chosen by chance.
    pub(crate) turns: Option<Arc<[u32]>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BackendTable {
    pub(crate) name: Arc<RefName>,
    pub(crate) weight: u32,
    pub(crate) threshold: u32,
    pub(crate) alias: u32,
    pub(crate) endpoints: Arc<[SocketAddress]>,
}

impl BackendTable {
    fn nobody() -> Self {
        let name = Arc::new(RefName::nobody());
        Self { name, weight: 0, threshold: u32::MAX, alias: 0, endpoints: Arc::default() }
    }
}

/// Whether a route's weights make too many turns, so that its backends are chosen by chance.
pub fn has_too_many_turns(destination: &Destination) -> bool {
    let weights = destination.backends.iter().filter_map(|backend| NonZeroU32::new(backend.weight.get()));
    reduced(&weights.collect::<Vec<_>>()).is_none()
}

impl RouteTable {
    /// Of a destination that is routed.
    pub fn new(destination: &Destination, selection: Selection) -> Self {
        let (weighted, idle): (Vec<_>, Vec<_>) = RefName::of(destination)
            .into_iter()
            .zip(&destination.backends)
            .map(|(name, backend)| (NonZeroU32::new(backend.weight.get()), Arc::new(name), backend))
            .partition(|(weight, ..)| weight.is_some());
        let weights: Vec<NonZeroU32> = weighted.iter().filter_map(|&(weight, ..)| weight).collect();
        let turns = match selection {
            Selection::Even if weights.len() > 1 => reduced(&weights),
            Selection::Even | Selection::Random => None,
        };
        // Many backendRefs may have the same endpoints.
        let mut sets = FxHashMap::<&[SocketAddr], Arc<[SocketAddress]>>::default();
        let mut backends: Vec<BackendTable> =
            alias_slots(&weights)
                .into_iter()
                .zip(weighted)
                .map(|(slot, (_, name, backend))| BackendTable {
                    name,
                    weight: backend.weight.get(),
                    threshold: slot.threshold,
                    alias: slot.alias,
                    endpoints: Arc::clone(sets.entry(&backend.endpoints).or_insert_with(|| {
                        backend.endpoints.iter().map(|&endpoint| endpoint.into()).collect()
                    })),
                })
                .collect();
        if backends.is_empty() {
            backends.push(BackendTable::nobody());
        }
        let idle: BTreeSet<Arc<RefName>> = idle.into_iter().map(|(_, name, _)| name).collect();
        Self { backends: backends.into(), idle: idle.into_iter().collect(), turns: turns.map(Into::into) }
    }

    /// The names of all backendRefs.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<RefName>> {
        self.backends.iter().map(|backend| &backend.name).chain(&self.idle)
    }

    /// The backendRefs that have a weight, and that weight.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (&Arc<RefName>, u32)> {
        self.backends.iter().map(|backend| (&backend.name, backend.weight))
    }

    /// All endpoints that it leads to.
    pub fn endpoints(&self) -> impl Iterator<Item = &SocketAddress> + Clone {
        self.backends.iter().flat_map(|backend| backend.endpoints.iter())
    }

    /// What it counts for in what one workload may take.
    pub(crate) fn room(&self) -> Room {
        let endpoints = match &*self.backends {
            [] => 0,
            [only] => only.endpoints.len(),
            many => {
                // The same one is seldom there twice in memory, and then it is not long.
                let shared: FxHashMap<usize, &[SocketAddress]> =
                    many.iter().map(|it| (Arc::as_ptr(&it.endpoints).addr(), &*it.endpoints)).collect();
                let sets: FxHashSet<&[SocketAddress]> = shared.into_values().collect();
                sets.into_iter().map(<[_]>::len).sum()
            }
        };
        Room { routes: (self.backends.len() + self.idle.len()).max(1), endpoints }
    }

    /// Without some endpoints, unless a backendRef would have no endpoint at all: then all of its endpoints stay.
    pub(crate) fn without(&self, out: &BTreeSet<(RefName, SocketAddress)>) -> Self {
        let backend = |backend: &BackendTable| {
            let is_in =
                |endpoint: &&SocketAddress| !out.contains(&(RefName::clone(&backend.name), **endpoint));
            let endpoints: Vec<SocketAddress> = backend.endpoints.iter().filter(is_in).copied().collect();
            let endpoints = if endpoints.is_empty() || endpoints.len() == backend.endpoints.len() {
                Arc::clone(&backend.endpoints)
            } else {
                endpoints.into()
            };
            BackendTable { endpoints, ..backend.clone() }
        };
        Self {
            backends: self.backends.iter().map(backend).collect(),
            idle: self.idle.clone(),
            turns: self.turns.clone(),
        }
    }
}

/// The tables of destinations, each made once for all workloads that have it.
#[derive(Debug, Default)]
pub struct RouteTables {
    selection: Selection,
    /// By where the destination is in memory, where it is kept as long as it stands here.
    tables: FxHashMap<usize, (Arc<Destination>, Arc<RouteTable>)>,
    /// How many there were after the last cleaning up.
    kept: usize,
}

impl RouteTables {
    /// With this way to choose backends.
    pub fn new(selection: Selection) -> Self {
        Self { selection, ..Self::default() }
    }

    /// How backends are chosen.
    pub const fn selection(&self) -> Selection {
        self.selection
    }

    /// The table of a destination that is routed.
    pub fn of(&mut self, destination: &Arc<Destination>) -> Arc<RouteTable> {
        let selection = self.selection;
        let made = || (Arc::clone(destination), Arc::new(RouteTable::new(destination, selection)));
        let (_, table) = self.tables.entry(Arc::as_ptr(destination).addr()).or_insert_with(made);
        Arc::clone(table)
    }

    /// Forgets destinations that nobody else has any more, once there may be as many of them as others.
    pub fn clean_up(&mut self) {
        if self.tables.len() > 2 * self.kept.max(64) {
            self.tables.retain(|_, (destination, _)| Arc::strong_count(destination) > 1);
            self.kept = self.tables.len();
        }
    }
}
