//! The resources that are read, as types in which a wrong one cannot be built.

mod dataplane;
mod document;
mod external_service;
mod header;
mod kinds;
mod mesh;
mod mesh_external_service;
mod mesh_http_route;
mod mesh_service;
mod mesh_tcp_route;
mod names;
mod other_policy;
mod shown;
mod target_ref;
mod violation;
pub(crate) mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use dataplane::{Dataplane, Inbound, Outbound, PROTOCOL_TAG, SERVICE_TAG};
pub(crate) use document::Reader;
pub use document::Resource;
pub use external_service::{ExternalAddress, ExternalService};
pub use header::{Key, Origin, PolicyHeader, Role};
pub(crate) use kinds::{Kind, nearest, nearest_kind};
pub use mesh::{Mesh, MtlsMode};
pub use mesh_external_service::MeshExternalService;
pub use mesh_http_route::MeshHttpRoute;
pub use mesh_service::{InboundSelector, MeshMultiZoneService, MeshService, ServicePort, TargetPort};
pub use mesh_tcp_route::{BackendRef, MeshTcpRoute, Rule, To};
pub use names::{EmptyName, Labels, MeshName, ResourceName, ServiceName, Tags, Weight};
pub use other_policy::{Applies, OtherPolicy};
pub(crate) use shown::Pairs;
pub use target_ref::{BackendTarget, DataplaneRef, PortRef, Selector, ServiceBy, ServiceKind, ServiceRef};
pub use violation::{Violation, Violations};

/// All resources that were read, of all meshes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Meshes; one that is not here has no mTLS.
    pub meshes: BTreeMap<MeshName, Mesh>,
    /// Workloads, local and remote.
    pub dataplanes: BTreeMap<Key, Arc<Dataplane>>,
    /// Endpoints outside the mesh.
    pub external_services: BTreeMap<Key, Arc<ExternalService>>,
    /// Services as resources, and those outside the mesh and of many zones.
    pub services: ServiceResources,
    /// The policies that are put in force.
    pub tcp_routes: BTreeMap<Key, Arc<MeshTcpRoute>>,
    /// The policies that keep connections at the proxy.
    pub http_routes: BTreeMap<Key, Arc<MeshHttpRoute>>,
    /// Policies of other kinds: not enforced on connections that bypass the proxy.
    pub other_policies: BTreeMap<(&'static str, Key), OtherPolicy>,
}

/// The services of Kuma 2.8 and later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceResources {
    /// Those that Dataplanes serve.
    pub mesh: BTreeMap<Key, MeshService>,
    /// Those outside the mesh.
    pub external: BTreeMap<Key, MeshExternalService>,
    /// Those of many zones.
    pub multi_zone: BTreeMap<Key, MeshMultiZoneService>,
}

impl Resources {
    /// Adds one, in the place of another one with its kind, mesh and name.
    pub fn add(&mut self, resource: Resource) {
        let (kind, key) = resource.identity();
        match resource {
            Resource::Mesh(mesh) => {
                self.meshes.insert(mesh.name.clone(), mesh);
            }
            Resource::Dataplane(dataplane) => {
                self.dataplanes.insert(key, Arc::new(dataplane));
            }
            Resource::ExternalService(service) => {
                self.external_services.insert(key, Arc::new(service));
            }
            Resource::MeshService(service) => {
                self.services.mesh.insert(key, service);
            }
            Resource::MeshExternalService(service) => {
                self.services.external.insert(key, service);
            }
            Resource::MeshMultiZoneService(service) => {
                self.services.multi_zone.insert(key, service);
            }
            Resource::TcpRoute(route) => {
                self.tcp_routes.insert(key, Arc::new(route));
            }
            Resource::HttpRoute(route) => {
                self.http_routes.insert(key, Arc::new(route));
            }
            Resource::OtherPolicy(policy) => {
                self.other_policies.insert((kind, key), policy);
            }
        }
    }

    /// The DNS names of services outside the mesh.
    pub fn external_host_names(&self) -> BTreeSet<String> {
        let classic = self.external_services.values().map(|service| &service.address);
        let later = self.services.external.values().flat_map(|service| &service.endpoints);
        let host = |address: &ExternalAddress| match address {
            ExternalAddress::Host(host, _) => Some(host.clone()),
            ExternalAddress::Socket(_) => None,
        };
        classic.chain(later).filter_map(host).collect()
    }
}
