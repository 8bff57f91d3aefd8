//! The routes of all local workloads, as the kernel needs them.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
};

use tcproute_common::{AddressFilter, RouteKey, SocketAddress};

use super::{
    alias::alias_slots,
    slots::RefName,
    turns::{Selection, reduced},
};
use crate::routing::{Action, DataplaneRoutes, ResolvedRoute};

/// The number by which the maps know a workload of this node. 0 stands for "not a workload".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId(NonZeroU32);

impl WorkloadId {
    /// As the maps hold it; `None` for 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The numbers of all workloads: those that some have already, if no two have the same, and for the others the smallest
    /// that are neither taken nor `used` by workloads that are gone.
    pub fn assign(known: &[Option<Self>], used: &BTreeSet<Self>) -> Vec<Self> {
        let mut taken: BTreeSet<Self> = BTreeSet::new();
        let kept: Vec<Option<Self>> =
            known.iter().map(|known| known.filter(|&number| taken.insert(number))).collect();
        let mut free = (1..=u32::MAX)
            .filter_map(Self::new)
            .filter(|number| !taken.contains(number) && !used.contains(number));
        kept.into_iter().filter_map(|kept| kept.or_else(|| free.next())).collect()
    }

    /// As the maps hold it.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// A workload and what its Dataplane's routes were resolved to.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Its number in the maps.
    pub id: WorkloadId,
    /// Its routes.
    pub routes: Arc<DataplaneRoutes>,
}

impl Workload {
    /// By which the maps know one of its routes.
    pub fn key(&self, route: &ResolvedRoute) -> RouteKey {
        RouteKey { dialled: route.dialled.into(), workload: self.id.get() }
    }
}

/// The content that the maps shall have, without saying where in them it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    pub(crate) routes: BTreeMap<RouteKey, RouteTable>,
    pub(crate) selection: Selection,
}

/// How much room a table takes in the maps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Entries of `routes`.
    pub routes: usize,
    /// Entries of `backends`.
    pub backends: usize,
    /// Entries of `endpoints`.
    pub endpoints: usize,
    /// Entries of `outcomes`: backendRefs, also those without weight.
    pub outcomes: usize,
    /// Entries of `turns`.
    pub turns: usize,
    /// Entries of `cursors`.
    pub cursors: usize,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteTable {
    /// Those that have a weight, in the order of the policy.
    pub(crate) backends: Vec<BackendTable>,
    /// Those that have none. They may still have connections from when they had one.
    pub(crate) idle: BTreeSet<RefName>,
    /// The weights from which its turns are made; `None` if the backends are chosen by chance.
    pub(crate) turns: Option<Vec<u32>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackendTable {
    pub(crate) name: RefName,
    pub(crate) weight: u32,
    pub(crate) threshold: u32,
    pub(crate) alias: u32,
    pub(crate) endpoints: Vec<SocketAddress>,
}

impl Table {
    /// Destinations that are left to the proxy have no entry. Of two routes of one workload with the same
    /// address the first stands, as resolution has warned.
    pub fn new(workloads: &[Workload], selection: Selection) -> Self {
        let mut routes = BTreeMap::new();
        for workload in workloads {
            for route in &workload.routes.routes {
                if route.destination.action == Action::Route {
                    routes.entry(workload.key(route)).or_insert_with(|| RouteTable::new(route, selection));
                }
            }
        }
        Self { routes, selection }
    }

    /// Lets the addresses through at which this workload's routes begin and end.
    pub fn extend_filter(&self, workload: WorkloadId, filter: &mut AddressFilter) {
        for (key, route) in self.routes.iter().filter(|(key, _)| key.workload == workload.get()) {
            filter.insert(&key.dialled);
            for endpoint in route.backends.iter().flat_map(|backend| &backend.endpoints) {
                filter.insert(endpoint);
            }
        }
    }

    /// The room that it takes at most.
    pub fn size(&self) -> Size {
        let backends = || self.routes.values().flat_map(|route| &route.backends);
        let endpoints: BTreeSet<&[SocketAddress]> =
            backends().map(|backend| backend.endpoints.as_slice()).collect();
        let turns: BTreeSet<&[u32]> =
            self.routes.values().filter_map(|route| route.turns.as_deref()).collect();
        Size {
            routes: self.routes.len(),
            backends: backends().count(),
            endpoints: endpoints.into_iter().map(<[_]>::len).sum(),
            outcomes: self.routes.values().map(|route| route.names().count()).sum(),
            turns: turns.into_iter().flatten().map(|&weight| weight as usize).sum(),
            cursors: if self.selection == Selection::Even { self.routes.len() } else { 0 },
        }
    }
}

/// Whether a route's weights make too many turns, so that its backends are chosen by chance.
pub fn has_too_many_turns(route: &ResolvedRoute) -> bool {
    let weights =
        route.destination.backends.iter().filter_map(|backend| NonZeroU32::new(backend.weight.get()));
    reduced(&weights.collect::<Vec<_>>()).is_none()
}

impl RouteTable {
    fn new(route: &ResolvedRoute, selection: Selection) -> Self {
        let (weighted, idle): (Vec<_>, Vec<_>) = RefName::of_route(route)
            .into_iter()
            .zip(&route.destination.backends)
            .map(|(name, backend)| (NonZeroU32::new(backend.weight.get()), name, backend))
            .partition(|(weight, ..)| weight.is_some());
        let weights: Vec<NonZeroU32> = weighted.iter().filter_map(|&(weight, ..)| weight).collect();
        let turns = match selection {
            Selection::Even if weights.len() > 1 => reduced(&weights),
            Selection::Even | Selection::Random => None,
        };
        let backends = alias_slots(&weights)
            .into_iter()
            .zip(weighted)
            .map(|(slot, (_, name, backend))| BackendTable {
                name,
                weight: backend.weight.get(),
                threshold: slot.threshold,
                alias: slot.alias,
                endpoints: backend.endpoints.iter().map(|&endpoint| endpoint.into()).collect(),
            })
            .collect();
        Self { backends, idle: idle.into_iter().map(|(_, name, _)| name).collect(), turns }
    }

    /// The names of all backendRefs.
    pub(crate) fn names(&self) -> impl Iterator<Item = &RefName> {
        self.backends.iter().map(|backend| &backend.name).chain(&self.idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_keep_their_numbers_and_others_get_the_smallest_free_ones() {
        let known = [None, Some(3), Some(1), None, Some(3)].map(|number| number.and_then(WorkloadId::new));
        let numbers = |used: &[u32]| -> Vec<u32> {
            let used = used.iter().filter_map(|&number| WorkloadId::new(number)).collect();
            WorkloadId::assign(&known, &used).into_iter().map(WorkloadId::get).collect()
        };
        assert_eq!(numbers(&[]), [2, 3, 1, 4, 5]);
        assert_eq!(numbers(&[1, 2, 5]), [4, 3, 1, 6, 7]);
    }
}
