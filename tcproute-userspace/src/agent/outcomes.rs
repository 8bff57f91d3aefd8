//! What became of the connections: read for those who ask, and given up when nobody can.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Agent;
use crate::{
    outcomes::{BackendOutcomes, DataplaneOutcomes, RouteOutcomes},
    plan::{RefName, Workload},
    routing::{Action, DataplaneRoutes, ResolvedRoute},
};

impl Agent<'_> {
    /// What became of the connections of each workload, by route and backendRef.
    pub fn outcomes(&self) -> Result<Vec<DataplaneOutcomes>> {
        self.resolved.workloads.iter().map(|workload| self.workload_outcomes(workload)).collect()
    }

    /// Gives the counts of backendRefs to others that left so long ago that no program can add to them, and of which all
    /// connections have ended.
    pub(super) fn reuse_drained(&mut self) -> Result<()> {
        if !self.retired.is_empty() {
            return Ok(());
        }
        for departed in self.layout.departed() {
            if self.datapath.outcomes(departed.slot)?.is_drained() {
                self.datapath.clear_outcomes(departed.slot)?;
                self.layout.reuse_slot(&departed);
            }
        }
        Ok(())
    }

    fn workload_outcomes(&self, workload: &Workload) -> Result<DataplaneOutcomes> {
        let mut seen = BTreeSet::new();
        let routed = workload.routes.routes.iter().filter(|route| {
            // Of two routes with the same address the first stands.
            route.destination.action == Action::Route && seen.insert(route.dialled)
        });
        let routes = routed.map(|route| self.route_outcomes(workload, route)).collect::<Result<_>>()?;
        let DataplaneRoutes { mesh, dataplane, .. } = &*workload.routes;
        Ok(DataplaneOutcomes { mesh: mesh.clone(), dataplane: dataplane.clone(), routes })
    }

    fn route_outcomes(&self, workload: &Workload, route: &ResolvedRoute) -> Result<RouteOutcomes> {
        let key = workload.key(route);
        let names = RefName::of_route(route);
        let backends = names.into_iter().zip(&route.destination.backends).map(|(name, backend)| {
            let slot = self.layout.slot(&key, &name);
            Ok(BackendOutcomes {
                target: name.target,
                weight: backend.weight,
                share: backend.share,
                outcomes: slot.map(|slot| self.datapath.outcomes(slot)).transpose()?,
            })
        });
        Ok(RouteOutcomes {
            service: route.destination.service.to_string(),
            address: route.dialled.ip(),
            port: route.dialled.port(),
            backends: backends.collect::<Result<_>>()?,
        })
    }
}
