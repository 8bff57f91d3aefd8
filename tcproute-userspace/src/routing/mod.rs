//! Resolved routes: where each outbound of one Dataplane leads, as values that can be printed, compared
//! and diffed.

mod protocol;
mod resolve;
mod services;

use std::{collections::BTreeMap, net::SocketAddr};

use serde::Serialize;

pub use resolve::{DnsAnswers, Options, Resolver, UnknownDataplane};

use crate::resources::{MeshName, ServiceName, Tags, Weight};

/// Everything the kernel needs to know about one Dataplane.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataplaneRoutes {
    /// The Dataplane's mesh.
    pub mesh: MeshName,
    /// The Dataplane's name (on Kubernetes `name.namespace`).
    pub dataplane: String,
    /// One entry for each outbound, sorted by service, address and port.
    pub routes: Vec<ResolvedRoute>,
    /// What the operator should know: unknown services, destinations left to the proxy, and the like.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Where connections to one outbound address lead.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResolvedRoute {
    /// The destination service.
    pub service: ServiceName,
    /// The address and port that the application dials.
    #[serde(flatten, with = "dialled")]
    pub dialled: SocketAddr,
    /// `http`, `tcp`, …; `tcp` when no protocol is agreed on.
    pub protocol: String,
    /// Whether the kernel rewrites the destination at all.
    pub action: Action,
    /// Why that action.
    pub reason: String,
    /// The policies that contributed, from weak to strong.
    pub policies: Vec<String>,
    /// The backends in the order in which the policy names them; empty for a passthrough.
    pub backends: Vec<ResolvedBackend>,
}

/// What the kernel does with a connection to an outbound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Choose a backend and rewrite the destination.
    Route,
    /// Rewrite nothing: the connection goes where the application dialled, usually to the proxy.
    Passthrough,
}

/// One backendRef of a route with the endpoints behind it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResolvedBackend {
    /// The kind of the backendRef's target: `MeshService` or `MeshServiceSubset`.
    pub kind: String,
    /// The service it names.
    pub name: ServiceName,
    /// The tags that an endpoint must carry, for a subset.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags,
    /// As written; 1 when it was left out.
    pub weight: Weight,
    /// Weight over the sum of all weights, from 0 to 1; 0 when all weights are 0.
    pub share: f64,
    /// Sorted, without repeats; empty means that connections of this share are refused.
    pub endpoints: Vec<SocketAddr>,
}

mod dialled {
    use std::net::SocketAddr;

    use serde::{Serialize, Serializer};

    #[derive(Serialize)]
    struct Dialled {
        address: std::net::IpAddr,
        port: u16,
    }

    pub(super) fn serialize<S: Serializer>(dialled: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
        Dialled { address: dialled.ip(), port: dialled.port() }.serialize(serializer)
    }
}
