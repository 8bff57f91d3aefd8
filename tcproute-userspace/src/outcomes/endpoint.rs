//! Connections by endpoint, which are counted from what sockets remember, not by the programs.

use std::net::SocketAddr;

/// Those of one backendRef of one route to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
