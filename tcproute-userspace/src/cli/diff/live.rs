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
    outcomes::{WorkloadOutcomes, float},
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

/// How many connections are made in a second, seen for so long.
pub(super) async fn traffic(socket: &Path, window: Duration) -> Result<BTreeMap<Dialled, f64>> {
    let begin = Instant::now();
    let before = chosen(socket).await?;
    sleep(window).await;
    let after = chosen(socket).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let rate = |(dialled, count): (Dialled, u64)| {
        // A count that begins anew counts from its beginning.
        let before = before.get(&dialled).copied().filter(|before| *before <= count).unwrap_or(0);
        (dialled, float(count - before) / seconds)
    };
    Ok(after.into_iter().map(rate).collect())
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
