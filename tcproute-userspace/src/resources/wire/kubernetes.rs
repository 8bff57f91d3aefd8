//! Objects of Kubernetes itself as they are written.

use serde::Deserialize;

/// `spec` of a Service.
#[derive(Debug, Deserialize)]
pub(crate) struct ClusterServiceSpec {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    #[serde(rename = "clusterIP")]
    pub(crate) cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    pub(crate) cluster_ips: Option<Vec<String>>,
    pub(crate) ports: Option<Vec<ClusterServicePort>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ClusterServicePort {
    pub(crate) port: Option<u32>,
    pub(crate) protocol: Option<String>,
}
