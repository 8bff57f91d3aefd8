//! The resources that are read, as types in which a wrong one cannot be built.

mod dataplane;
mod document;
mod external_service;
mod kinds;
mod mesh;
mod mesh_http_route;
mod mesh_tcp_route;
mod names;
mod target_ref;
mod violation;
pub(crate) mod wire;

use std::collections::BTreeSet;

pub use dataplane::{Dataplane, Inbound, Outbound, PROTOCOL_TAG, SERVICE_TAG};
pub(crate) use document::Reader;
pub use document::Resource;
pub use external_service::{ExternalAddress, ExternalService};
pub(crate) use kinds::{Kind, nearest, nearest_kind};
pub use mesh::{Mesh, MtlsMode};
pub use mesh_http_route::MeshHttpRoute;
pub use mesh_tcp_route::{BackendRef, MeshTcpRoute, Rule, To};
pub use names::{EmptyName, MeshName, ResourceName, ServiceName, Tags, Weight};
pub use target_ref::{BackendTarget, Selector, Strength};
pub use violation::{Violation, Violations};

/// All resources that were read, of all meshes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Meshes; one that is not here has no mTLS.
    pub meshes: Vec<Mesh>,
    /// Workloads, local and remote.
    pub dataplanes: Vec<Dataplane>,
    /// Endpoints outside the mesh.
    pub external_services: Vec<ExternalService>,
    /// The policies that are put in force.
    pub tcp_routes: Vec<MeshTcpRoute>,
    /// The policies that keep connections at the proxy.
    pub http_routes: Vec<MeshHttpRoute>,
    /// Policies of other kinds, as `kind name`: not enforced on connections that bypass the proxy.
    pub other_policies: BTreeSet<String>,
}

impl Resources {
    /// Adds one.
    pub fn add(&mut self, resource: Resource) {
        match resource {
            Resource::Mesh(mesh) => self.meshes.push(mesh),
            Resource::Dataplane(dataplane) => self.dataplanes.push(dataplane),
            Resource::ExternalService(service) => self.external_services.push(service),
            Resource::TcpRoute(route) => self.tcp_routes.push(route),
            Resource::HttpRoute(route) => self.http_routes.push(route),
            Resource::OtherPolicy { kind, name, .. } => {
                self.other_policies.insert(format!("{kind} {name}"));
            }
        }
    }

    /// The DNS names of ExternalServices.
    pub fn external_host_names(&self) -> BTreeSet<String> {
        let host = |service: &ExternalService| match &service.address {
            ExternalAddress::Host(host, _) => Some(host.clone()),
            ExternalAddress::Socket(_) => None,
        };
        self.external_services.iter().filter_map(host).collect()
    }
}
