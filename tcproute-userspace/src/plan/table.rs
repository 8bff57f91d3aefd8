//! The routes of all local workloads, as the kernel needs them.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
};

use tcproute_common::{AddressFilter, RouteKey, SocketAddress};

use super::alias::alias_slots;
use crate::routing::{Action, DataplaneRoutes, ResolvedRoute};

/// The number by which the maps know a workload of this node. 0 stands for "not a workload".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId(NonZeroU32);

impl WorkloadId {
    /// As the maps hold it; `None` for 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The numbers of all workloads: those that some have already, if no two have the same, and the smallest free ones
    /// for the others.
    pub fn assign(known: &[Option<Self>]) -> Vec<Self> {
        let mut taken: BTreeSet<Self> = BTreeSet::new();
        let kept: Vec<Option<Self>> =
            known.iter().map(|known| known.filter(|&number| taken.insert(number))).collect();
        let mut free = (1..=u32::MAX).filter_map(Self::new).filter(|number| !taken.contains(number));
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

/// The content that the maps shall have, without saying where in them it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    pub(crate) routes: BTreeMap<RouteKey, RouteTable>,
}

/// The backends of one route that have a weight, in the order of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteTable {
    pub(crate) backends: Vec<BackendTable>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackendTable {
    pub(crate) weight: u32,
    pub(crate) threshold: u32,
    pub(crate) alias: u32,
    pub(crate) endpoints: Vec<SocketAddress>,
}

impl Table {
    /// Destinations that are left to the proxy have no entry. Of two routes of one workload with the same
    /// address the first stands, as resolution has warned.
    pub fn new(workloads: &[Workload]) -> Self {
        let mut routes = BTreeMap::new();
        for workload in workloads {
            for route in &workload.routes.routes {
                if route.destination.action == Action::Route {
                    let key = RouteKey { dialled: route.dialled.into(), workload: workload.id.get() };
                    routes.entry(key).or_insert_with(|| RouteTable::new(route));
                }
            }
        }
        Self { routes }
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

    /// How many routes, backends and endpoints it takes at most.
    pub fn size(&self) -> (usize, usize, usize) {
        let backends = || self.routes.values().flat_map(|route| &route.backends);
        let endpoints: std::collections::BTreeSet<&[SocketAddress]> =
            backends().map(|backend| backend.endpoints.as_slice()).collect();
        (self.routes.len(), backends().count(), endpoints.into_iter().map(<[_]>::len).sum())
    }
}

impl RouteTable {
    fn new(route: &ResolvedRoute) -> Self {
        let weighted: Vec<_> = route
            .destination
            .backends
            .iter()
            .filter_map(|backend| NonZeroU32::new(backend.weight.get()).map(|weight| (weight, backend)))
            .collect();
        let weights: Vec<NonZeroU32> = weighted.iter().map(|&(weight, _)| weight).collect();
        let backends = alias_slots(&weights)
            .into_iter()
            .zip(weighted)
            .map(|(slot, (weight, backend))| BackendTable {
                weight: weight.get(),
                threshold: slot.threshold,
                alias: slot.alias,
                endpoints: backend.endpoints.iter().map(|&endpoint| endpoint.into()).collect(),
            })
            .collect();
        Self { backends }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_keep_their_numbers_and_others_get_the_smallest_free_ones() {
        let known = [None, Some(3), Some(1), None, Some(3)].map(|number| number.and_then(WorkloadId::new));
        let numbers: Vec<u32> = WorkloadId::assign(&known).into_iter().map(WorkloadId::get).collect();
        assert_eq!(numbers, [2, 3, 1, 4, 5]);
    }
}
