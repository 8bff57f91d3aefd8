//! Connections by endpoint, with the names of what they are of.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use rustc_hash::FxHashMap;
use tcproute_common::RouteKey;

use super::in_force::InForce;
use crate::{outcomes::EndpointConnections, plan::RefName};

/// Of routes that are there.
pub(super) fn connections(in_force: &InForce<'_>) -> Result<Vec<EndpointConnections>> {
    let counted: FxHashMap<u32, (RouteKey, Arc<RefName>)> =
        in_force.layout.counted().map(|(key, name, at)| (at, (*key, Arc::clone(name)))).collect();
    let mut all = Vec::new();
    for ((at, chosen), open) in in_force.datapath.established()? {
        let Some((key, name)) = counted.get(&at) else { continue };
        let workload = in_force.workload(key.workload);
        let Some(routes) = workload.and_then(|(_, workload)| workload.routes.as_ref()) else { continue };
        let dialled: SocketAddr = key.dialled.into();
        let Some(route) = routes.routes.at(dialled) else { continue };
        all.push(EndpointConnections {
            mesh: routes.mesh.to_string(),
            dataplane: routes.dataplane.clone(),
            service: route.destination.service.to_string(),
            dialled,
            backend: name.target.clone(),
            endpoint: chosen.into(),
            open,
        });
    }
    Ok(all)
}
