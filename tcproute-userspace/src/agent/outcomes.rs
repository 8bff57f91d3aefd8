//! What became of the connections: read for those who ask, and given up when nobody can.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::SystemTime,
};

use anyhow::Result;
use tcproute_common::RouteKey;

use super::Agent;
use crate::{
    outcomes::{BackendOutcomes, RouteOutcomes, Split, WorkloadOutcomes, timestamp},
    plan::{RefName, Selection, Workload, has_too_many_turns},
    routing::{Action, DataplaneRoutes, ResolvedRoute},
};

/// From where on a route's connections are compared with its weights.
#[derive(Debug)]
pub(super) struct Since {
    at: SystemTime,
    weights: BTreeMap<RefName, u32>,
    /// How often each backendRef was chosen until then.
    before: BTreeMap<RefName, u64>,
}

impl Agent<'_> {
    /// What became of the connections of each workload, by route and backendRef.
    pub fn outcomes(&self) -> Result<Vec<WorkloadOutcomes>> {
        let workloads = self.workloads().zip(&self.members);
        workloads.map(|(workload, member)| self.workload_outcomes(&workload, &member.path)).collect()
    }

    /// Gives the counts of backendRefs to others that left so long ago that no program can add to them, and of which all
    /// connections have ended, or their workload has.
    pub(super) fn reuse_drained(&mut self) -> Result<()> {
        if !self.retired.is_empty() || !self.has_departed {
            return Ok(());
        }
        let workloads: BTreeSet<u32> = self.members.iter().map(|member| member.id.get()).collect();
        let mut left = false;
        for departed in self.layout.departed() {
            if workloads.contains(&departed.key.workload)
                && !self.datapath.outcomes(departed.slot)?.is_drained()
            {
                left = true;
                continue;
            }
            self.datapath.clear_outcomes(departed.slot)?;
            self.layout.reuse_slot(&departed);
        }
        self.has_departed = left;
        Ok(())
    }

    /// Gives the places of sockets back that have outlived their workload: no program runs for them any more.
    pub(super) fn forget_sockets_of_others(&mut self) -> Result<()> {
        let workloads: BTreeSet<u32> = self.members.iter().map(|member| member.id.get()).collect();
        let of_others = self.layout.slots().filter(|(key, ..)| !workloads.contains(&key.workload));
        let of_others: Vec<u32> = of_others.map(|(_, _, slot)| slot).collect();
        if of_others.is_empty() {
            return Ok(());
        }
        self.datapath.wait_for_detached();
        let mut open = BTreeSet::new();
        for slot in of_others {
            if !self.datapath.outcomes(slot)?.is_drained() {
                open.insert(slot);
            }
        }
        if open.is_empty() { Ok(()) } else { self.datapath.forget_sockets(&open) }
    }

    /// Begins to compare anew where weights have changed. A connection that is on its way meanwhile may count for the new
    /// ones although the old ones have chosen for it.
    pub(super) fn note_splits(&mut self) -> Result<()> {
        let mut splits = BTreeMap::new();
        for key in self.layout.routes() {
            let weights = self.layout.weights(key);
            let since = match self.splits.remove(key) {
                Some(since) if since.weights == weights => since,
                _ => Since { at: SystemTime::now(), before: self.chosen(key, weights.keys())?, weights },
            };
            splits.insert(*key, since);
        }
        self.splits = splits;
        Ok(())
    }

    fn chosen<'a>(
        &self,
        key: &RouteKey,
        names: impl Iterator<Item = &'a RefName>,
    ) -> Result<BTreeMap<RefName, u64>> {
        let mut chosen = BTreeMap::new();
        for name in names {
            if let Some(slot) = self.layout.slot(key, name) {
                chosen.insert(name.clone(), self.datapath.outcomes(slot)?.chosen());
            }
        }
        Ok(chosen)
    }

    fn workload_outcomes(&self, workload: &Workload, cgroup: &Path) -> Result<WorkloadOutcomes> {
        let mut seen = BTreeSet::new();
        let routed = workload.routes.routes.iter().filter(|route| {
            // Of two routes with the same address the first stands.
            route.destination.action == Action::Route && seen.insert(route.dialled)
        });
        let routes = routed.map(|route| self.route_outcomes(workload, route)).collect::<Result<_>>()?;
        let DataplaneRoutes { mesh, dataplane, .. } = &*workload.routes;
        Ok(WorkloadOutcomes {
            mesh: mesh.to_string(),
            dataplane: dataplane.clone(),
            cgroup: cgroup.to_path_buf(),
            routes,
        })
    }

    fn route_outcomes(&self, workload: &Workload, route: &ResolvedRoute) -> Result<RouteOutcomes> {
        let key = workload.key(route);
        let names = RefName::of_route(route);
        let mut backends = Vec::with_capacity(names.len());
        for (name, backend) in names.iter().zip(&route.destination.backends) {
            let slot = self.layout.slot(&key, name);
            backends.push(BackendOutcomes {
                target: name.target.clone(),
                weight: backend.weight.get(),
                share: backend.share,
                outcomes: slot.map(|slot| self.datapath.outcomes(slot)).transpose()?,
            });
        }
        let selection = match self.resolved.settings.selection {
            Selection::Even if has_too_many_turns(route) => Selection::Random,
            selection => selection,
        };
        Ok(RouteOutcomes {
            service: route.destination.service.to_string(),
            address: route.dialled.ip(),
            port: route.dialled.port(),
            selection: selection.to_string(),
            split: self.splits.get(&key).and_then(|since| split(since, &names, &backends)),
            backends,
        })
    }
}

/// `None` if not all of them are counted.
fn split(since: &Since, names: &[RefName], backends: &[BackendOutcomes]) -> Option<Split> {
    let chosen = names.iter().zip(backends).map(|(name, backend)| {
        // One without weight has not been chosen since it has none.
        let Some(before) = since.before.get(name) else { return (backend.weight == 0).then_some(0) };
        Some(backend.outcomes?.chosen().saturating_sub(*before))
    });
    let shares: Vec<f64> = backends.iter().map(|backend| backend.share).collect();
    Some(Split::new(timestamp(since.at), chosen.collect::<Option<_>>()?, &shares))
}
