//! Connections by endpoint, which are counted from what sockets remember, not by the programs.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Those of one backendRef of one route to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EndpointConnections {
    /// The mesh of the Dataplane that dials.
    pub mesh: String,
    /// That Dataplane.
    pub dataplane: String,
    /// The destination service.
    pub service: String,
    /// What the application dials.
    pub dialled: SocketAddr,
    /// The target of the backendRef.
    pub backend: String,
    /// Where they go.
    pub endpoint: SocketAddr,
    /// How many are established.
    pub open: u64,
}
