//! Connections to endpoints that have left are closed, where that is asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    future,
    net::SocketAddr,
    sync::Arc,
};

use tracing::{debug, error, info, warn};

use super::{Agent, state::DrainState};
use crate::{
    drain::{Closed, Departed, Draining, Routes, Step},
    plan::WorkloadId,
};

impl Agent<'_> {
    /// What comes back with this change is kept. To be called before it is in force.
    pub(super) fn prepare_draining(&self) {
        if let Some(draining) = &self.draining {
            draining.prepare(&self.routes_by_cgroup());
        }
    }

    /// Takes who has left with the change that is in force now.
    pub(super) fn note_departures(&mut self) {
        let routes = self.routes_by_cgroup();
        if let Some(draining) = &mut self.draining {
            draining.observe(routes);
        }
    }

    /// Where the routes of an earlier daemon lead, of those workloads that it had already.
    pub(super) fn endpoints_before(&self, adopted: &BTreeSet<WorkloadId>) -> Vec<Departed> {
        if self.draining.is_none() {
            return Vec::new();
        }
        let adopted = self.members.iter().filter(|member| adopted.contains(&member.id));
        let cgroups: BTreeMap<u32, _> = adopted.map(|member| (member.id.get(), member.cgroup)).collect();
        let endpoints = self.layout.endpoints().filter_map(|(key, endpoint)| {
            let workload = *cgroups.get(&key.workload)?;
            Some(Departed { workload, dialled: key.dialled, endpoint })
        });
        endpoints.collect()
    }

    fn routes_by_cgroup(&self) -> Routes {
        let routes = |dataplane: usize| Arc::clone(&self.resolved.dataplanes[dataplane]);
        self.members.iter().map(|member| (member.cgroup, routes(member.dataplane))).collect()
    }

    pub(super) fn drain(&mut self, step: Step) {
        match step {
            Step::Due => self.start_closing(),
            Step::Done(Ok(closed)) => self.tell_of(&closed),
            Step::Done(Err(error)) => error!("connections were not closed: {error}"),
        }
        self.publish();
    }

    fn start_closing(&mut self) {
        let Some(draining) = &mut self.draining else { return };
        let cgroups = self.members.iter().map(|member| (member.cgroup, member.path.clone())).collect();
        match self.datapath.routed_sockets() {
            Ok(sockets) => draining.start(cgroups, sockets),
            Err(error) => {
                draining.give_up();
                error!("connections to endpoints that have left are not closed: {error:#}");
            }
        }
    }

    fn tell_of(&self, Closed { connections, failures }: &Closed) {
        for failure in failures {
            warn!("connections to endpoints that have left may be open still: {failure}");
        }
        for (Departed { workload, dialled, endpoint }, &count) in connections {
            let member = self.members.iter().find(|member| member.cgroup == *workload);
            let cgroup = member.map(|member| member.path.display().to_string()).unwrap_or_default();
            let (dialled, endpoint) = (SocketAddr::from(*dialled), SocketAddr::from(*endpoint));
            if count > 0 {
                info!(cgroup, "{endpoint} has left {dialled}: {count} connections closed");
            } else {
                debug!(cgroup, "{endpoint} has left {dialled}, and no connection was open");
            }
        }
    }

    pub(super) fn drain_state(&self) -> Option<DrainState> {
        self.draining.as_ref().map(|draining| DrainState {
            grace: draining.grace(),
            waiting: draining.waiting(),
            closed: draining.closed(),
        })
    }
}

/// Waits for what is next, if there is ever anything.
pub(super) async fn step(draining: &mut Option<Draining>) -> Step {
    match draining {
        Some(draining) => draining.step().await,
        None => future::pending().await,
    }
}
