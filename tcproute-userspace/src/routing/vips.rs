//! Where all Dataplanes of a mesh dial its services: at the addresses of resources, and of Services of Kubernetes.

use std::net::SocketAddr;

use super::{
    AddressRole, DeniedAddress,
    service::ServiceId,
    services::{Mesh, Services},
};
use crate::{
    policy::Compat,
    resources::{ClusterService, Denial, Identity, MeshName, Resources, ServiceName},
};

/// Where services are dialled, and where they are not though their resources say so.
#[derive(Default)]
struct Found {
    vips: Vec<(SocketAddr, ServiceId)>,
    denied: Vec<DeniedAddress>,
}

impl Services {
    /// The addresses at which every Dataplane of the mesh can dial a service.
    pub(super) fn vips(&self, mesh: &MeshName) -> &[(SocketAddr, ServiceId)] {
        self.meshes.get(mesh).map(|mesh| mesh.vips.as_slice()).unwrap_or_default()
    }

    /// The addresses that do not count.
    pub(super) fn denied_vips(&self, mesh: &MeshName) -> &[DeniedAddress] {
        self.meshes.get(mesh).map(|mesh| mesh.denied.as_slice()).unwrap_or_default()
    }

    /// Takes other Services of Kubernetes.
    pub(super) fn set_cluster_services(&mut self, resources: &Resources) {
        let services = resources.cluster_services.values();
        // Version 3 has only those that are resources of Kuma.
        self.cluster_services = services.filter(|_| self.compat != Compat::V3).cloned().collect();
        for mesh in self.meshes.values_mut() {
            mesh.vips_are_stale = true;
        }
    }

    /// Finds out again where services can be dialled, where that may have changed; the meshes in which it has.
    pub(super) fn renew_vips(&mut self) -> Vec<MeshName> {
        let stale: Vec<MeshName> = self
            .meshes
            .iter()
            .filter(|(_, mesh)| mesh.vips_are_stale)
            .map(|(name, _)| name.clone())
            .collect();
        let mut changed = Vec::new();
        for name in stale {
            let Found { vips, denied } = self.find_vips(&name);
            let mesh = self.mesh(&name);
            mesh.vips_are_stale = false;
            if mesh.vips != vips || mesh.denied != denied {
                (mesh.vips, mesh.denied) = (vips, denied);
                changed.push(name);
            }
        }
        changed
    }

    fn find_vips(&self, name: &MeshName) -> Found {
        let mut found = Found::default();
        let Some(mesh) = self.meshes.get(name) else { return found };
        for ((kind, resource_name), resource) in &mesh.resources {
            for &id in &resource.ports {
                let Some(port) = self.port(id) else { continue };
                for &vip in &resource.vips {
                    let of = || Identity { kind: kind.name(), key: (name.clone(), resource_name.clone()) };
                    let judged = self.guard.judge_vip(vip, resource.meta.provenance);
                    found.take(self, SocketAddr::new(vip, port.number), id, judged, of);
                }
            }
        }
        self.find_cluster_services(mesh, &mut found);
        found
    }

    /// What the API server gives as an address of a Service is inside of its own range, which it sees to.
    fn find_cluster_services(&self, mesh: &Mesh, found: &mut Found) {
        for service in &self.cluster_services {
            for &port in &service.ports {
                let Ok(tag) = ServiceName::try_from(service.tag(port)) else { continue };
                let Some(id) = mesh.tagged.get(&tag).copied().filter(|&id| self.has_inbounds(id)) else {
                    continue;
                };
                for &vip in &service.addresses {
                    let of = || Identity { kind: ClusterService::KIND, key: service.key.clone() };
                    let judged = self.guard.judge(vip, service.provenance);
                    found.take(self, SocketAddr::new(vip, port), id, judged, of);
                }
                if service.addresses.is_empty() {
                    for (endpoint, pod) in self.sockets(id) {
                        let judged = self.guard.judge(pod.ip(), endpoint.provenance);
                        let of = || endpoint.source.identity();
                        found.take(self, SocketAddr::new(pod.ip(), port), id, judged, of);
                    }
                }
            }
        }
    }

    /// A change of the inbounds of a service may change where it is dialled.
    pub(super) fn look_at_vips(&mut self, mesh: &MeshName, service: &ServiceName) {
        if !self.cluster_services.is_empty() && self.compat != Compat::V3 {
            let is_cluster_service = service.as_str().contains("_svc_");
            self.mesh(mesh).vips_are_stale |= is_cluster_service;
        }
    }
}

impl Found {
    fn take(
        &mut self,
        services: &Services,
        address: SocketAddr,
        id: ServiceId,
        judged: Result<(), Denial>,
        of: impl FnOnce() -> Identity,
    ) {
        match judged {
            Ok(()) => self.vips.push((address, id)),
            Err(why) => {
                let service = services.name(id).clone();
                let role = AddressRole::Dialled;
                self.denied.push(DeniedAddress { role, address, service, of: of(), why });
            }
        }
    }
}
