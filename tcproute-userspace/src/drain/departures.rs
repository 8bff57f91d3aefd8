//! Which endpoints have left their routes, and when their connections are due. Pure; times are those since any fixed
//! moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rustc_hash::FxHashMap;
use tcproute_common::SocketAddress;

use crate::{
    routing::{Action, DataplaneRoutes, Destination},
    workloads::cgroups::CgroupId,
};

/// An endpoint that is in no backendRef of a route any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Departed {
    /// Whose route.
    pub workload: CgroupId,
    /// What the workload dials.
    pub dialled: SocketAddress,
    /// The endpoint.
    pub endpoint: SocketAddress,
}

/// The routes of the workloads.
pub type Routes = BTreeMap<CgroupId, Arc<DataplaneRoutes>>;

/// Endpoints that have left not long ago.
#[derive(Debug, Clone)]
pub(super) struct Departures {
    grace: Duration,
    in_force: Routes,
    /// With the moment at which their connections are due.
    waiting: BTreeMap<Departed, Duration>,
}

impl Departures {
    /// Nobody has left.
    pub(super) const fn new(grace: Duration) -> Self {
        Self { grace, in_force: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    /// How long connections are kept.
    pub(super) const fn grace(&self) -> Duration {
        self.grace
    }

    /// Takes which routes are in force from now on. An endpoint that has come back is forgotten, and so is a workload
    /// that is gone.
    pub(super) fn observe(&mut self, now: Duration, routes: Routes) {
        for (&workload, before) in &self.in_force {
            let Some(after) = routes.get(&workload).filter(|after| !Arc::ptr_eq(after, before)) else {
                continue;
            };
            let (before, after) = (Index::new(before), Index::new(after));
            for (dialled, endpoint) in before.without(&after) {
                self.waiting.insert(Departed { workload, dialled, endpoint }, now + self.grace);
            }
        }
        let kept: BTreeSet<Departed> = departed_from(&routes, self.waiting.keys()).copied().collect();
        self.waiting.retain(|departed, _| kept.contains(departed));
        self.in_force = routes;
    }

    /// Takes endpoints that routes had under an earlier daemon: those that they do not have now have left.
    pub(super) fn inherit(&mut self, now: Duration, before: &[Departed]) {
        let due = now + self.grace;
        for &departed in departed_from(&self.in_force, before.iter()) {
            self.waiting.entry(departed).or_insert(due);
        }
    }

    /// Whose grace is over. They are given out once.
    pub(super) fn due(&mut self, now: Duration) -> BTreeSet<Departed> {
        let due = self.waiting.extract_if(.., |_, due| *due <= now);
        due.map(|(departed, _)| departed).collect()
    }

    /// When somebody's grace is over next.
    pub(super) fn next(&self) -> Option<Duration> {
        self.waiting.values().min().copied()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// Those among these endpoints that these routes do not lead to, of workloads that are there.
pub(super) fn departed_from<'a>(
    routes: &Routes,
    endpoints: impl Iterator<Item = &'a Departed>,
) -> impl Iterator<Item = &'a Departed> {
    let mut indices: BTreeMap<CgroupId, Option<Index<'_>>> = BTreeMap::new();
    endpoints.filter(move |Departed { workload, dialled, endpoint }| {
        let index =
            indices.entry(*workload).or_insert_with(|| routes.get(workload).map(|routes| Index::new(routes)));
        index.as_ref().is_some_and(|index| !index.leads(*dialled, *endpoint))
    })
}

/// The destinations of a workload by what it dials.
struct Index<'a>(FxHashMap<SocketAddress, &'a Arc<Destination>>);

impl<'a> Index<'a> {
    /// Of two routes with the same address the first stands, as in the kernel. A destination that is left to the proxy
    /// has no endpoint.
    fn new(routes: &'a DataplaneRoutes) -> Self {
        let mut index = FxHashMap::default();
        let routed = routes.routes.iter().filter(|route| route.destination.action == Action::Route);
        for route in routed {
            index.entry(route.dialled.into()).or_insert(&route.destination);
        }
        Self(index)
    }

    fn leads(&self, dialled: SocketAddress, endpoint: SocketAddress) -> bool {
        self.0.get(&dialled).is_some_and(|destination| endpoints(destination).any(|it| it == endpoint))
    }

    /// What this one leads to and the other one does not.
    fn without<'s>(
        &'s self,
        other: &'s Self,
    ) -> impl Iterator<Item = (SocketAddress, SocketAddress)> + use<'s, 'a> {
        let differs = |(dialled, destination): &(&SocketAddress, &&'a Arc<Destination>)| {
            other.0.get(*dialled).is_none_or(|other| !Arc::ptr_eq(other, destination))
        };
        self.0.iter().filter(differs).flat_map(|(&dialled, destination)| {
            let left: BTreeSet<SocketAddress> = match other.0.get(&dialled) {
                None => endpoints(destination).collect(),
                Some(other) => {
                    let stay: BTreeSet<SocketAddress> = endpoints(other).collect();
                    endpoints(destination).filter(|endpoint| !stay.contains(endpoint)).collect()
                }
            };
            left.into_iter().map(move |endpoint| (dialled, endpoint))
        })
    }
}

/// Also those without weight: no new connection goes there, and those that are open may go on.
fn endpoints(destination: &Destination) -> impl Iterator<Item = SocketAddress> {
    destination.backends.iter().flat_map(|backend| &*backend.endpoints).map(|&endpoint| endpoint.into())
}

#[cfg(test)]
mod tests;
