//! What is in force on this node, as its daemon tells, and how many connections are made.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::time::sleep;

use crate::{
    admin::client,
    outcomes::{RecentConnections, RecentRoute, WorkloadOutcomes, float},
    routing::Ends,
};

/// A Dataplane, by its mesh and name, and what it dials.
pub(super) type Dialled = (String, String, SocketAddr);

/// Where the connections of its Dataplanes end.
pub(super) async fn in_force(socket: &Path) -> Result<Vec<Ends>> {
    let ends: Vec<Ends> = client::ask(socket, "/v1/routes").await?;
    if ends.is_empty() {
        bail!("no Dataplane has routes on this node");
    }
    Ok(ends)
}

/// So long traffic is seen of which the daemon has kept none.
const UNKNOWN: Duration = Duration::from_secs(5);

/// How many connections were made in a second, and over how long.
pub(super) struct Traffic {
    pub(super) over: Duration,
    pub(super) rates: BTreeMap<Dialled, f64>,
}

impl Traffic {
    /// Seen for so long, or else in the last minutes.
    pub(super) async fn see(socket: &Path, window: Option<Duration>) -> Result<Self> {
        if let Some(window) = window {
            return now(socket, window).await;
        }
        let recent: Option<RecentConnections> = client::ask(socket, "/v1/recent").await?;
        // A daemon that has just been started knows no better than what is seen.
        match recent.filter(|recent| recent.seconds >= UNKNOWN.as_secs_f64()) {
            Some(recent) => Ok(recent.into()),
            None => now(socket, UNKNOWN).await,
        }
    }
}

impl From<RecentConnections> for Traffic {
    fn from(RecentConnections { seconds, routes }: RecentConnections) -> Self {
        let rate = |route: RecentRoute| {
            let dialled = SocketAddr::new(route.address, route.port);
            ((route.mesh, route.dataplane, dialled), float(route.connections) / seconds)
        };
        Self { over: Duration::from_secs_f64(seconds), rates: routes.into_iter().map(rate).collect() }
    }
}

async fn now(socket: &Path, window: Duration) -> Result<Traffic> {
    let begin = Instant::now();
    let before = chosen(socket).await?;
    sleep(window).await;
    let after = chosen(socket).await?;
    let over = begin.elapsed();
    let seconds = over.as_secs_f64();
    let rate = |(dialled, count): (Dialled, u64)| {
        // A count that begins anew counts from its beginning.
        let before = before.get(&dialled).copied().filter(|before| *before <= count).unwrap_or(0);
        (dialled, float(count - before) / seconds)
    };
    Ok(Traffic { over, rates: after.into_iter().map(rate).collect() })
}

/// How often any backendRef was chosen, of all cgroups that have a Dataplane.
async fn chosen(socket: &Path) -> Result<BTreeMap<Dialled, u64>> {
    let workloads: Vec<WorkloadOutcomes> = client::ask(socket, "/v1/outcomes").await?;
    let mut all = BTreeMap::new();
    for WorkloadOutcomes { mesh, dataplane, routes, .. } in &workloads {
        for route in routes {
            let dialled = (mesh.clone(), dataplane.clone(), route.dialled());
            *all.entry(dialled).or_default() += route.chosen();
        }
    }
    Ok(all)
}
