//! The services of a mesh: their endpoints, whether they exist, their protocols.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{DnsAnswers, protocol};
use crate::{
    policy::includes,
    resources::{ExternalAddress, MeshName, PROTOCOL_TAG, Resources, ServiceName, Tags},
};

/// An endpoint of a service. One that is named by DNS has as many addresses as the answer.
pub(super) struct Endpoint<'a> {
    pub(super) addresses: Vec<SocketAddr>,
    tags: &'a Tags,
    /// The proxy originates TLS to it.
    pub(super) tls: bool,
}

/// All services of all meshes, by name. One that only an outbound leads to exists, without endpoints.
#[derive(Default)]
pub(super) struct Services<'a> {
    meshes: BTreeMap<&'a MeshName, BTreeMap<&'a ServiceName, Vec<Endpoint<'a>>>>,
}

impl<'a> Services<'a> {
    pub(super) fn new(resources: &'a Resources, dns: &DnsAnswers) -> Self {
        let mut services = Self::default();
        for dataplane in &resources.dataplanes {
            for inbound in dataplane.inbounds.iter().filter(|inbound| inbound.ready) {
                services.entry(&dataplane.mesh, &inbound.service).push(Endpoint {
                    addresses: vec![inbound.address],
                    tags: &inbound.tags,
                    tls: false,
                });
            }
            for outbound in &dataplane.outbounds {
                services.entry(&dataplane.mesh, &outbound.service);
            }
        }
        for external in &resources.external_services {
            let addresses = match &external.address {
                ExternalAddress::Socket(socket) => vec![*socket],
                ExternalAddress::Host(host, port) => {
                    let ips = dns.get(host).map(Vec::as_slice).unwrap_or_default();
                    ips.iter().map(|ip| SocketAddr::new(ip.to_canonical(), *port)).collect()
                }
            };
            services.entry(&external.mesh, &external.service).push(Endpoint {
                addresses,
                tags: &external.tags,
                tls: external.tls,
            });
        }
        services
    }

    fn entry(&mut self, mesh: &'a MeshName, service: &'a ServiceName) -> &mut Vec<Endpoint<'a>> {
        self.meshes.entry(mesh).or_default().entry(service).or_default()
    }

    /// A service exists when it has an endpoint or an outbound.
    pub(super) fn exists(&self, mesh: &MeshName, service: &ServiceName) -> bool {
        self.meshes.get(mesh).is_some_and(|services| services.contains_key(service))
    }

    /// The protocol that the endpoints agree on.
    pub(super) fn protocol(&self, mesh: &MeshName, service: &ServiceName) -> Option<&str> {
        let endpoints = self.of(mesh, service).iter();
        protocol::common(endpoints.map(|endpoint| endpoint.tags.get(PROTOCOL_TAG).map(String::as_str)))
    }

    /// The endpoints that a backendRef means.
    pub(super) fn matching(
        &self,
        mesh: &MeshName,
        service: &ServiceName,
        subset: Option<&Tags>,
    ) -> impl Iterator<Item = &Endpoint<'a>> {
        let wanted =
            move |endpoint: &&Endpoint<'a>| subset.is_none_or(|subset| includes(endpoint.tags, subset));
        self.of(mesh, service).iter().filter(wanted)
    }

    fn of(&self, mesh: &MeshName, service: &ServiceName) -> &[Endpoint<'a>] {
        self.meshes
            .get(mesh)
            .and_then(|services| services.get(service))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}
