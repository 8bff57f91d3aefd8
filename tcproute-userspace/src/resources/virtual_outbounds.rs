//! What all Dataplanes of a mesh dial on Kubernetes, as the control plane of 2.4 to 2.14 keeps it in a ConfigMap, since
//! it writes no outbounds into Dataplanes there.

use std::net::SocketAddr;

use super::names::{ServiceName, Tags};

/// All of a mesh.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VirtualOutbounds(pub Vec<VirtualOutbound>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualOutbound {
    /// What applications dial.
    pub address: SocketAddr,
    /// The value of the tag `kuma.io/service`.
    pub service: ServiceName,
    /// Further tags of its endpoints.
    pub tags: Tags,
}
