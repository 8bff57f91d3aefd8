//! Connections to endpoints that have left are closed, where that is asked for.

use std::{future, net::SocketAddr, sync::Arc};

use tracing::{debug, error, info, warn};

use super::{
    in_force::InForce,
    settle::{Wanted, Workload},
    state::DrainState,
};
use crate::{
    drain::{Closed, Departed, Draining, Routes, Step},
    workloads::cgroups::CgroupId,
};

/// The routes that shall be in force.
pub(super) fn wanted_routes(wanted: &Wanted) -> Routes {
    wanted.workloads.iter().map(|(&cgroup, workload)| (cgroup, Arc::clone(&workload.routes))).collect()
}

/// The routes that are in force.
pub(super) fn routes_in_force(in_force: &InForce<'_>) -> Routes {
    let routes = in_force.workloads.iter();
    routes.filter_map(|(&cgroup, workload)| Some((cgroup, Arc::clone(workload.routes.as_ref()?)))).collect()
}

/// Where the routes of an earlier daemon lead.
pub(super) fn endpoints_before(in_force: &InForce<'_>) -> Vec<Departed> {
    let of_workload = |(&cgroup, workload): (&CgroupId, &Workload)| {
        let endpoints = in_force.layout.endpoints(workload.id);
        let departed = endpoints.map(|(dialled, endpoint)| Departed { workload: cgroup, dialled, endpoint });
        departed.collect::<Vec<_>>()
    };
    in_force.workloads.iter().flat_map(of_workload).collect()
}

/// Takes where an earlier daemon's routes led, but for workloads that keep them.
pub(super) fn inherit(draining: &mut Draining, mut before: Vec<Departed>, in_force: &InForce<'_>) {
    before.retain(|departed| {
        in_force.workloads.get(&departed.workload).is_none_or(|workload| workload.routes.is_some())
    });
    draining.inherit(&before);
}

/// Does what is next.
pub(super) fn take(draining: &mut Draining, step: Step, in_force: &InForce<'_>) {
    match step {
        Step::Due => start_closing(draining, in_force),
        Step::Done(Ok(closed)) => tell_of(&closed, in_force),
        Step::Done(Err(error)) => error!("connections were not closed: {error}"),
    }
}

fn start_closing(draining: &mut Draining, in_force: &InForce<'_>) {
    let cgroups = in_force.workloads.iter().map(|(&cgroup, workload)| (cgroup, workload.path.clone()));
    match in_force.datapath.routed_sockets() {
        Ok(sockets) => draining.start(cgroups.collect(), sockets),
        Err(error) => {
            draining.give_up();
            error!("connections to endpoints that have left are not closed: {error:#}");
        }
    }
}

fn tell_of(Closed { connections, failures }: &Closed, in_force: &InForce<'_>) {
    for failure in failures {
        warn!("connections to endpoints that have left may be open still: {failure}");
    }
    for (Departed { workload, dialled, endpoint }, &count) in connections {
        let workload = in_force.workloads.get(workload);
        let cgroup = workload.map(|workload| workload.path.display().to_string()).unwrap_or_default();
        let (dialled, endpoint) = (SocketAddr::from(*dialled), SocketAddr::from(*endpoint));
        if count > 0 {
            info!(cgroup, "{endpoint} has left {dialled}: {count} connections closed");
        } else {
            debug!(cgroup, "{endpoint} has left {dialled}, and no connection was open");
        }
    }
}

pub(super) fn shown(draining: &Draining) -> DrainState {
    DrainState { grace: draining.grace(), waiting: draining.waiting(), closed: draining.closed() }
}

/// Waits for what is next, if there is ever anything.
pub(super) async fn step(draining: &mut Option<Draining>) -> Step {
    match draining {
        Some(draining) => draining.step().await,
        None => future::pending().await,
    }
}
