//! Service of Kubernetes: where its pods are dialled. Kuma writes no outbounds into Dataplanes there.

use std::net::IpAddr;

use super::{
    address::parse_ip,
    guard::Provenance,
    header::{Header, Key},
    wire,
};

/// A Service of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterService {
    /// Its name and namespace. The mesh means nothing: the pods behind it may be of any.
    pub key: Key,
    /// Its addresses: none if it is headless, and then each pod is dialled at its own.
    pub addresses: Vec<IpAddr>,
    /// Its TCP ports.
    pub ports: Vec<u16>,
    /// Who may have written it.
    pub provenance: Provenance,
}

impl ClusterService {
    /// As in `kind`.
    pub const KIND: &'static str = "Service";

    /// Nothing in it is this program's to judge.
    pub(super) fn read(header: Option<Header>, spec: Option<wire::ClusterServiceSpec>) -> Option<Self> {
        let mut spec = spec.unwrap_or_default();
        let mut addresses: Vec<IpAddr> = Vec::new();
        for text in spec.cluster_ips.take().into_iter().flatten().chain(spec.cluster_ip.take()) {
            let address = parse_ip(&text).ok();
            addresses.extend(address.filter(|address| !addresses.contains(address)));
        }
        let ports = match spec.kind.as_deref() {
            // It has neither pods nor addresses.
            Some("ExternalName") => Vec::new(),
            _ => spec.ports.unwrap_or_default(),
        };
        let tcp = ports.into_iter().filter(|port| port.protocol.as_deref().is_none_or(|kind| kind == "TCP"));
        let ports = tcp.filter_map(|port| u16::try_from(port.port?).ok()).filter(|&port| port > 0);
        let header = header?;
        let provenance = header.meta.provenance;
        Some(Self { key: header.key(), addresses, ports: ports.collect(), provenance })
    }

    /// The value of the tag `kuma.io/service` of the inbounds behind a port.
    pub fn tag(&self, port: u16) -> String {
        let name = &self.key.1;
        format!("{}_{}_svc_{port}", name.name, name.namespace.as_deref().unwrap_or("default"))
    }
}
