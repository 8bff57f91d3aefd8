//! What became of the connections, for those who ask, and since when they are compared with the weights.

use std::{collections::hash_map::Entry, path::Path, sync::Arc, time::SystemTime};

use anyhow::Result;
use rustc_hash::{FxHashMap, FxHashSet};
use tcproute_common::{RouteKey, SocketAddress};

use super::{
    in_force::{Changed, InForce},
    settle::Workload,
};
use crate::{
    outcomes::{BackendOutcomes, Outcomes, RouteOutcomes, Split, WorkloadOutcomes, timestamp},
    plan::{RefName, Selection, WorkloadId, has_too_many_turns},
    routing::{Action, DataplaneRoutes, ResolvedRoute},
};

/// From where on the connections of routes are compared with their weights.
#[derive(Debug, Default)]
pub(super) struct Splits {
    /// When the first routes of a workload came in force.
    workloads: FxHashMap<u32, SystemTime>,
    /// Of the routes with other weights than they had then.
    routes: FxHashMap<RouteKey, Box<Since>>,
}

#[derive(Debug)]
struct Since {
    at: SystemTime,
    /// What each backendRef had until then, as far as any was chosen.
    before: Vec<Before>,
}

/// What a backendRef had counted.
type Before = (Arc<RefName>, Outcomes);

impl Splits {
    /// Begins to compare anew where weights have changed. A connection that is on its way meanwhile may count for the
    /// new ones although the old ones have chosen for it. The `fresh` entries have counted nothing yet.
    pub(super) fn note(
        &mut self,
        changed: &[Changed],
        fresh: &FxHashSet<u32>,
        in_force: &InForce<'_>,
    ) -> Result<()> {
        let now = SystemTime::now();
        let mut first = FxHashSet::default();
        for Changed { key, .. } in changed.iter().filter(|changed| changed.weights) {
            let workload = WorkloadId::new(key.workload);
            let table = workload.and_then(|workload| in_force.layout.table(workload, &key.dialled));
            let Some(table) = table else {
                self.routes.remove(key);
                continue;
            };
            if let Entry::Vacant(entry) = self.workloads.entry(key.workload) {
                entry.insert(now);
                first.insert(key.workload);
            }
            let mut before = Vec::new();
            for name in table.names() {
                let at = in_force.layout.counted_at(key, name).filter(|at| !fresh.contains(at));
                let counted = at.map(|at| in_force.datapath.outcomes(at)).transpose()?;
                let counted = counted.filter(|outcomes| outcomes.chosen() > 0);
                before.extend(counted.map(|outcomes| (Arc::clone(name), outcomes)));
            }
            if before.is_empty() && first.contains(&key.workload) {
                self.routes.remove(key);
            } else {
                self.routes.insert(*key, Box::new(Since { at: now, before }));
            }
        }
        Ok(())
    }

    /// Forgets workloads that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(u32) -> bool) {
        self.workloads.retain(|&workload, _| is_there(workload));
    }

    /// Since when, and what each backendRef had until then.
    fn since(&self, key: &RouteKey) -> (Option<SystemTime>, &[Before]) {
        match self.routes.get(key) {
            Some(since) => (Some(since.at), &since.before),
            None => (self.workloads.get(&key.workload).copied(), &[]),
        }
    }
}

/// What became of the connections of each workload, by route and backendRef; read as it is asked for.
pub(super) fn outcomes<'a>(
    in_force: &'a InForce<'a>,
    splits: &'a Splits,
    selection: Selection,
) -> impl Iterator<Item = Result<WorkloadOutcomes>> {
    let reading = Reading { in_force, splits, selection };
    in_force.workloads.values().map(move |workload| reading.workload(workload, &workload.path))
}

struct Reading<'a> {
    in_force: &'a InForce<'a>,
    splits: &'a Splits,
    selection: Selection,
}

impl Reading<'_> {
    fn workload(&self, workload: &Workload, cgroup: &Path) -> Result<WorkloadOutcomes> {
        let Some(resolved) = &workload.routes else {
            return Ok(WorkloadOutcomes {
                mesh: String::new(),
                dataplane: String::new(),
                cgroup: cgroup.to_path_buf(),
                routes: Vec::new(),
            });
        };
        let DataplaneRoutes { mesh, dataplane, routes, .. } = &**resolved;
        let routed = routes.iter().filter(|route| route.destination.action == Action::Route);
        let routes = routed.map(|route| self.route(workload.id, route)).collect::<Result<_>>()?;
        Ok(WorkloadOutcomes {
            mesh: mesh.to_string(),
            dataplane: dataplane.clone(),
            cgroup: cgroup.to_path_buf(),
            routes,
        })
    }

    fn route(&self, workload: WorkloadId, route: &ResolvedRoute) -> Result<RouteOutcomes> {
        let key = RouteKey { dialled: SocketAddress::from(route.dialled), workload: workload.get() };
        let names = RefName::of(&route.destination);
        let mut backends = Vec::with_capacity(names.len());
        let (since, before) = self.splits.since(&key);
        for (name, backend) in names.iter().zip(&route.destination.backends) {
            let total = self.in_force.counted(&key, name)?;
            backends.push(BackendOutcomes {
                target: name.target.clone(),
                weight: backend.weight.get(),
                share: backend.share,
                outcomes: total.map(|total| of_comparison(&total, name, before)),
                total,
            });
        }
        let nobody = RefName::nobody();
        let unweighted = if backends.iter().all(|backend| backend.weight == 0) {
            self.in_force.counted(&key, &nobody)?.unwrap_or_default()
        } else {
            Outcomes::default()
        };
        let selection = match self.selection {
            Selection::Even if has_too_many_turns(&route.destination) => Selection::Random,
            selection => selection,
        };
        Ok(RouteOutcomes {
            service: route.destination.service.to_string(),
            address: route.dialled.ip(),
            port: route.dialled.port(),
            selection: selection.to_string(),
            since: since.map(timestamp),
            split: split(&backends),
            unweighted: of_comparison(&unweighted, &nobody, before).chosen(),
            unweighted_total: unweighted.chosen(),
            backends,
        })
    }
}

/// What has come to a backendRef since the comparison began.
fn of_comparison(total: &Outcomes, name: &RefName, before: &[Before]) -> Outcomes {
    let before = before.iter().find(|(other, _)| **other == *name);
    before.map_or(*total, |(_, before)| total.since(before))
}

/// `None` if not all of them are counted.
fn split(backends: &[BackendOutcomes]) -> Option<Split> {
    // One without weight has not been chosen since it has none.
    let chosen = backends.iter().map(|backend| match backend.weight {
        0 => Some(0),
        _ => Some(backend.outcomes?.chosen()),
    });
    let shares: Vec<f64> = backends.iter().map(|backend| backend.share).collect();
    Some(Split::new(chosen.collect::<Option<_>>()?, &shares))
}
