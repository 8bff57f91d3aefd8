//! Routes of Dataplanes.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::routing::{Action, DataplaneRoutes, ResolvedRoute};

/// A route: where connections of a Dataplane to one address lead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteItem {
    /// The mesh of the Dataplane.
    pub mesh: String,
    /// The Dataplane that dials.
    pub dataplane: String,
    /// The service.
    pub service: String,
    /// What is dialled.
    pub dialled: SocketAddr,
    /// The protocol of the service.
    pub protocol: String,
    /// Whether it is routed, or left to the proxy.
    pub routed: bool,
    /// Why.
    pub reason: String,
    /// Where it leads; nowhere if it is left to the proxy.
    pub backends: Vec<ShareItem>,
    /// The policies that it is made from, from weak to strong.
    pub policies: Vec<String>,
}

/// A backendRef of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShareItem {
    /// As people read it.
    pub target: String,
    /// As written.
    pub weight: u32,
    /// Weight over the sum of all weights.
    pub share: f64,
    /// How many endpoints it has. Without any its share is refused.
    pub endpoints: usize,
}

/// The routes of a Dataplane, by service and address.
pub fn routes(all: &DataplaneRoutes) -> impl Iterator<Item = RouteItem> {
    all.routes.iter().map(|route| item(all, route))
}

fn item(of: &DataplaneRoutes, ResolvedRoute { dialled, destination }: &ResolvedRoute) -> RouteItem {
    let backends = destination.backends.iter().map(|backend| ShareItem {
        target: backend.target.to_string(),
        weight: backend.weight.get(),
        share: backend.share,
        endpoints: backend.endpoints.len(),
    });
    RouteItem {
        mesh: of.mesh.to_string(),
        dataplane: of.dataplane.clone(),
        service: destination.service.to_string(),
        dialled: *dialled,
        protocol: destination.protocol.clone(),
        routed: destination.action == Action::Route,
        reason: destination.reason.clone(),
        backends: backends.collect(),
        policies: destination.policies.clone(),
    }
}
