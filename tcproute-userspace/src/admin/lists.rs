//! `/v1/list/KIND`: what there is on this node and in its meshes, a value each, which `tcproute get` reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::Result;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::{Desk, Failed};
use crate::{
    agent::Handle,
    routing::list::{self, DataplaneItem, RouteItem},
};

pub(super) async fn show(State(desk): State<Desk>, Path(kind): Path<String>) -> Result<Response, Failed> {
    let handle = &desk.handle;
    match kind.as_str() {
        "dataplanes" => desk.json(dataplanes(handle)).await,
        "services" => desk.json(handle.services()).await,
        "endpoints" => desk.json(handle.service_endpoints()).await,
        "policies" => desk.json(handle.policies()).await,
        "routes" => desk.json(async { Ok(routes(handle)) }).await,
        "connections" => desk.json(handle.endpoints()).await,
        _ => Ok((StatusCode::NOT_FOUND, "there is no list of these\n").into_response()),
    }
}

/// With how many workloads each has here.
async fn dataplanes(handle: &Handle) -> Result<Vec<DataplaneItem>> {
    let mut all = handle.dataplanes().await?;
    let state = handle.state();
    let mut here: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for workload in state.workloads.values() {
        let routes = &workload.routes;
        *here.entry((routes.mesh.as_str(), &routes.dataplane)).or_default() += 1;
    }
    for item in &mut all {
        item.workloads = Some(here.get(&(&*item.mesh, &*item.name)).copied().unwrap_or_default());
    }
    Ok(all)
}

/// Those in force.
fn routes(handle: &Handle) -> Vec<RouteItem> {
    let state = handle.state();
    // Several cgroups may have the routes of one Dataplane.
    let mut seen = BTreeSet::new();
    let each = state.workloads.values().map(|workload| Arc::clone(&workload.routes));
    let each = each.filter(|it| seen.insert((it.mesh.clone(), it.dataplane.clone())));
    let mut all: Vec<RouteItem> = each.flat_map(|it| list::routes(&it).collect::<Vec<_>>()).collect();
    all.sort_by(|a, b| (&a.mesh, &a.dataplane).cmp(&(&b.mesh, &b.dataplane)));
    all
}
