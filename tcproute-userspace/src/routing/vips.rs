//! Where all Dataplanes of a mesh dial its services: at the addresses of resources, and of Services of Kubernetes.

use std::net::SocketAddr;

use super::{service::ServiceId, services::Services};
use crate::{
    policy::Compat,
    resources::{MeshName, Resources, ServiceName},
};

impl Services {
    /// The addresses at which every Dataplane of the mesh can dial a service.
    pub(super) fn vips(&self, mesh: &MeshName) -> &[(SocketAddr, ServiceId)] {
        self.meshes.get(mesh).map(|mesh| mesh.vips.as_slice()).unwrap_or_default()
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
            let vips = self.find_vips(&name);
            let mesh = self.mesh(&name);
            mesh.vips_are_stale = false;
            if mesh.vips != vips {
                mesh.vips = vips;
                changed.push(name);
            }
        }
        changed
    }

    fn find_vips(&self, name: &MeshName) -> Vec<(SocketAddr, ServiceId)> {
        let Some(mesh) = self.meshes.get(name) else { return Vec::new() };
        let mut vips = Vec::new();
        for resource in mesh.resources.values() {
            for &id in &resource.ports {
                let Some(port) = self.port(id) else { continue };
                vips.extend(resource.vips.iter().map(|&vip| (SocketAddr::new(vip, port.number), id)));
            }
        }
        for service in &self.cluster_services {
            for &port in &service.ports {
                let Ok(tag) = ServiceName::try_from(service.tag(port)) else { continue };
                let Some(id) = mesh.tagged.get(&tag).copied().filter(|&id| self.has_inbounds(id)) else {
                    continue;
                };
                vips.extend(service.addresses.iter().map(|&vip| (SocketAddr::new(vip, port), id)));
                if service.addresses.is_empty() {
                    let pods = self.sockets(id).map(|pod| (SocketAddr::new(pod.ip(), port), id));
                    vips.extend(pods);
                }
            }
        }
        vips
    }

    /// A change of the inbounds of a service may change where it is dialled.
    pub(super) fn look_at_vips(&mut self, mesh: &MeshName, service: &ServiceName) {
        if !self.cluster_services.is_empty() && self.compat != Compat::V3 {
            let is_cluster_service = service.as_str().contains("_svc_");
            self.mesh(mesh).vips_are_stale |= is_cluster_service;
        }
    }
}
