//! What became of the connections, for those who ask, and since when they are compared with the weights.

use std::{path::Path, sync::Arc, time::SystemTime};

use anyhow::Result;
use rustc_hash::{FxHashMap, FxHashSet};
use tcproute_common::{RouteKey, SocketAddress};

use super::{in_force::InForce, settle::Workload};
use crate::{
    outcomes::{BackendOutcomes, RouteOutcomes, Split, WorkloadOutcomes, timestamp},
    plan::{RefName, RouteTable, Selection, WorkloadId, has_too_many_turns},
    routing::{Action, DataplaneRoutes, ResolvedRoute},
};

/// From where on the connections of routes are compared with their weights.
#[derive(Debug, Default)]
pub(super) struct Splits(FxHashMap<RouteKey, Since>);

#[derive(Debug)]
struct Since {
    at: SystemTime,
    /// With the weights since then.
    table: Arc<RouteTable>,
    /// How often each backendRef was chosen until then, as far as any was.
    before: Vec<(Arc<RefName>, u64)>,
}

impl Splits {
    /// Begins to compare anew where weights have changed among these routes. A connection that is on its way meanwhile may
    /// count for the new ones although the old ones have chosen for it. The `fresh` entries have counted nothing yet.
    pub(super) fn note(
        &mut self,
        changed: &[RouteKey],
        fresh: &FxHashSet<u32>,
        in_force: &InForce<'_>,
    ) -> Result<()> {
        for key in changed {
            let workload = WorkloadId::new(key.workload);
            let table = workload.and_then(|workload| in_force.layout.table(workload, &key.dialled));
            let Some(table) = table else {
                self.0.remove(key);
                continue;
            };
            if let Some(since) = self.0.get_mut(key)
                && since.table.weights().eq(table.weights())
            {
                since.table = Arc::clone(table);
                continue;
            }
            let mut before = Vec::new();
            for (name, _) in table.weights() {
                let slot = in_force.layout.slot(key, name).filter(|slot| !fresh.contains(slot));
                let chosen = slot.map(|slot| in_force.datapath.outcomes(slot)).transpose()?;
                let chosen = chosen.map(|outcomes| outcomes.chosen()).filter(|&chosen| chosen > 0);
                before.extend(chosen.map(|chosen| (Arc::clone(name), chosen)));
            }
            let since = Since { at: SystemTime::now(), table: Arc::clone(table), before };
            self.0.insert(*key, since);
        }
        Ok(())
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
        for (name, backend) in names.iter().zip(&route.destination.backends) {
            let slot = self.in_force.layout.slot(&key, name);
            backends.push(BackendOutcomes {
                target: name.target.clone(),
                weight: backend.weight.get(),
                share: backend.share,
                outcomes: slot.map(|slot| self.in_force.datapath.outcomes(slot)).transpose()?,
            });
        }
        let selection = match self.selection {
            Selection::Even if has_too_many_turns(&route.destination) => Selection::Random,
            selection => selection,
        };
        Ok(RouteOutcomes {
            service: route.destination.service.to_string(),
            address: route.dialled.ip(),
            port: route.dialled.port(),
            selection: selection.to_string(),
            split: self.splits.0.get(&key).and_then(|since| split(since, &names, &backends)),
            backends,
        })
    }
}

/// `None` if not all of them are counted.
fn split(since: &Since, names: &[RefName], backends: &[BackendOutcomes]) -> Option<Split> {
    let chosen = names.iter().zip(backends).map(|(name, backend)| {
        // One without weight has not been chosen since it has none.
        if backend.weight == 0 {
            return Some(0);
        }
        let before = since.before.iter().find(|(other, _)| **other == *name).map_or(0, |(_, before)| *before);
        Some(backend.outcomes?.chosen().saturating_sub(before))
    });
    let shares: Vec<f64> = backends.iter().map(|backend| backend.share).collect();
    Some(Split::new(timestamp(since.at), chosen.collect::<Option<_>>()?, &shares))
}
