//! The resources that are read, as types in which a wrong one cannot be built.

mod address;
mod cluster_service;
mod dataplane;
mod document;
mod external_service;
mod guard;
mod header;
mod identity;
mod kinds;
mod mesh;
mod mesh_external_service;
mod mesh_http_route;
mod mesh_identity;
mod mesh_service;
mod mesh_tcp_route;
mod names;
mod nearest;
mod other_policy;
mod proxy_settings;
mod shown;
mod string_map;
mod tags;
mod target_ref;
mod traffic_route;
mod violation;
mod virtual_outbounds;
pub(crate) mod wire;

use std::{collections::BTreeSet, sync::Arc};

use imbl::OrdMap;

pub use cluster_service::ClusterService;
pub use dataplane::{Dataplane, Gateway, Health, Inbound, Outbound};
pub(crate) use document::Reader;
pub use document::Resource;
pub use external_service::{ExternalAddress, ExternalService};
pub(crate) use guard::KUMA_VIPS;
pub use guard::{Denial, Guard, Provenance, cidr};
pub(crate) use header::{DISPLAY_NAME_LABEL, MESH_LABEL, NAMESPACE_LABEL, ZONE_LABEL};
pub use header::{DataplaneKey, Key, Meta, Origin, PolicyHeader, Role, Zone};
pub use identity::Identity;
pub(crate) use kinds::{Encoding, Form, Kind, WrongKind, other_policy_kind};
pub use mesh::{Mesh, MtlsMode};
pub use mesh_external_service::MeshExternalService;
pub use mesh_http_route::{HttpRule, HttpTo, MeshHttpRoute};
pub use mesh_identity::{MeshIdentity, MeshTls};
pub use mesh_service::{
    DataplaneSelector, Member, Members, MeshMultiZoneService, MeshService, ServicePort, TargetPort,
};
pub use mesh_tcp_route::{BackendRef, MeshTcpRoute, Rule, To};
pub use names::{EmptyName, Labels, MeshName, ResourceName, ServiceName, Tags, Weight};
pub(crate) use nearest::{did_you_mean, nearest};
pub(crate) use other_policy::PERMISSION;
pub use other_policy::{Applies, Denied, Enforced, OtherPolicy};
pub(crate) use shown::Pairs;
pub use string_map::StringMap;
pub use tags::{PROTOCOL_TAG, SERVICE_TAG};
pub use target_ref::{
    BackendTarget, DataplaneRef, PortRef, ProxyType, Selector, ServiceBy, ServiceKind, ServiceRef,
};
pub use traffic_route::TrafficRoute;
pub use violation::{Strictness, Violation, Violations};
pub use virtual_outbounds::{VirtualOutbound, VirtualOutbounds};

/// All resources that were read, of all meshes. A copy shares everything, so that keeping two states costs what
/// differs, and so does comparing them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Meshes; one that is not here has no mTLS.
    pub meshes: OrdMap<MeshName, Arc<Mesh>>,
    /// Workloads, local and remote.
    pub dataplanes: OrdMap<DataplaneKey, Arc<Dataplane>>,
    /// Endpoints outside the mesh.
    pub external_services: OrdMap<Key, Arc<ExternalService>>,
    /// Services as resources, and those outside the mesh and of many zones.
    pub services: ServiceResources,
    /// The policies that are put in force.
    pub tcp_routes: OrdMap<Key, Arc<MeshTcpRoute>>,
    /// The policies that keep connections at the proxy.
    pub http_routes: OrdMap<Key, Arc<MeshHttpRoute>>,
    /// What gives identities to workloads.
    pub identities: OrdMap<Key, Arc<MeshIdentity>>,
    /// What says whether servers take plaintext.
    pub tls: OrdMap<Key, Arc<MeshTls>>,
    /// The policies that hold where no MeshTCPRoute does.
    pub traffic_routes: OrdMap<Key, Arc<TrafficRoute>>,
    /// Where pods are dialled.
    pub cluster_services: OrdMap<Key, Arc<ClusterService>>,
    /// Where the control plane says that services are dialled, by mesh: instead of the above.
    pub virtual_outbounds: OrdMap<MeshName, Arc<VirtualOutbounds>>,
    /// Policies of other kinds: not enforced on connections that bypass the proxy.
    pub other_policies: OrdMap<(&'static str, Key), Arc<OtherPolicy>>,
}

/// The services of Kuma 2.8 and later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceResources {
    /// Those that Dataplanes serve.
    pub mesh: OrdMap<Key, Arc<MeshService>>,
    /// Those outside the mesh.
    pub external: OrdMap<Key, Arc<MeshExternalService>>,
    /// Those of many zones.
    pub multi_zone: OrdMap<Key, Arc<MeshMultiZoneService>>,
}

impl Resources {
    /// Adds one, in the place of another one with its kind, mesh and name.
    pub fn add(&mut self, resource: Resource) {
        let Identity { kind, key } = resource.identity();
        match resource {
            Resource::Mesh(mesh) => drop(self.meshes.insert(mesh.name.clone(), mesh)),
            Resource::Dataplane(dataplane) => drop(self.dataplanes.insert(key, dataplane)),
            Resource::ExternalService(service) => drop(self.external_services.insert(key, service)),
            Resource::MeshService(service) => drop(self.services.mesh.insert(key, service)),
            Resource::MeshExternalService(service) => drop(self.services.external.insert(key, service)),
            Resource::MeshMultiZoneService(service) => drop(self.services.multi_zone.insert(key, service)),
            Resource::TcpRoute(route) => drop(self.tcp_routes.insert(key, route)),
            Resource::HttpRoute(route) => drop(self.http_routes.insert(key, route)),
            Resource::MeshIdentity(identity) => drop(self.identities.insert(key, identity)),
            Resource::MeshTls(policy) => drop(self.tls.insert(key, policy)),
            Resource::TrafficRoute(route) => drop(self.traffic_routes.insert(key, route)),
            Resource::ClusterService(service) => drop(self.cluster_services.insert(key, service)),
            Resource::OtherPolicy(policy) => drop(self.other_policies.insert((kind, key), policy)),
        }
    }

    /// Adds one, unless the same is there: that stays what it is in memory, so that nothing is looked at for it.
    /// Whether it is another one.
    pub fn put(&mut self, resource: Resource) -> bool {
        let is_other = self.get(&resource.identity()).as_ref() != Some(&resource);
        if is_other {
            self.add(resource);
        }
        is_other
    }

    /// Takes one out, if it is there.
    pub fn remove(&mut self, Identity { kind, key }: &Identity) {
        match *kind {
            Mesh::KIND => drop(self.meshes.remove(&key.0)),
            Dataplane::KIND => drop(self.dataplanes.remove(key)),
            ExternalService::KIND => drop(self.external_services.remove(key)),
            MeshService::KIND => drop(self.services.mesh.remove(key)),
            MeshExternalService::KIND => drop(self.services.external.remove(key)),
            MeshMultiZoneService::KIND => drop(self.services.multi_zone.remove(key)),
            MeshTcpRoute::KIND => drop(self.tcp_routes.remove(key)),
            MeshHttpRoute::KIND => drop(self.http_routes.remove(key)),
            MeshIdentity::KIND => drop(self.identities.remove(key)),
            MeshTls::KIND => drop(self.tls.remove(key)),
            TrafficRoute::KIND => drop(self.traffic_routes.remove(key)),
            ClusterService::KIND => drop(self.cluster_services.remove(key)),
            kind => drop(self.other_policies.remove(&(kind, key.clone()))),
        }
    }

    /// The one that is this.
    pub fn get(&self, Identity { kind, key }: &Identity) -> Option<Resource> {
        let services = &self.services;
        match *kind {
            Mesh::KIND => self.meshes.get(&key.0).cloned().map(Resource::Mesh),
            Dataplane::KIND => self.dataplanes.get(key).cloned().map(Resource::Dataplane),
            ExternalService::KIND => self.external_services.get(key).cloned().map(Resource::ExternalService),
            MeshService::KIND => services.mesh.get(key).cloned().map(Resource::MeshService),
            MeshExternalService::KIND => {
                services.external.get(key).cloned().map(Resource::MeshExternalService)
            }
            MeshMultiZoneService::KIND => {
                services.multi_zone.get(key).cloned().map(Resource::MeshMultiZoneService)
            }
            MeshTcpRoute::KIND => self.tcp_routes.get(key).cloned().map(Resource::TcpRoute),
            MeshHttpRoute::KIND => self.http_routes.get(key).cloned().map(Resource::HttpRoute),
            MeshIdentity::KIND => self.identities.get(key).cloned().map(Resource::MeshIdentity),
            MeshTls::KIND => self.tls.get(key).cloned().map(Resource::MeshTls),
            TrafficRoute::KIND => self.traffic_routes.get(key).cloned().map(Resource::TrafficRoute),
            ClusterService::KIND => self.cluster_services.get(key).cloned().map(Resource::ClusterService),
            kind => self.other_policies.get(&(kind, key.clone())).cloned().map(Resource::OtherPolicy),
        }
    }

    /// Each of them.
    pub fn all(&self) -> impl Iterator<Item = Resource> {
        let services = &self.services;
        let meshes = self.meshes.values().cloned().map(Resource::Mesh);
        let mesh_services = services.mesh.values().cloned().map(Resource::MeshService);
        let external = services.external.values().cloned().map(Resource::MeshExternalService);
        let multi_zone = services.multi_zone.values().cloned().map(Resource::MeshMultiZoneService);
        meshes
            .chain(self.dataplanes.values().cloned().map(Resource::Dataplane))
            .chain(self.external_services.values().cloned().map(Resource::ExternalService))
            .chain(mesh_services.chain(external).chain(multi_zone))
            .chain(self.tcp_routes.values().cloned().map(Resource::TcpRoute))
            .chain(self.http_routes.values().cloned().map(Resource::HttpRoute))
            .chain(self.identities.values().cloned().map(Resource::MeshIdentity))
            .chain(self.tls.values().cloned().map(Resource::MeshTls))
            .chain(self.traffic_routes.values().cloned().map(Resource::TrafficRoute))
            .chain(self.cluster_services.values().cloned().map(Resource::ClusterService))
            .chain(self.other_policies.values().cloned().map(Resource::OtherPolicy))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let services = &self.services;
        let services = services.mesh.len() + services.external.len() + services.multi_zone.len();
        let policies = self.tcp_routes.len() + self.http_routes.len() + self.other_policies.len();
        let transport = self.identities.len() + self.tls.len();
        let more = transport + self.traffic_routes.len() + self.cluster_services.len();
        let more = more + self.virtual_outbounds.len();
        self.meshes.len() + self.dataplanes.len() + self.external_services.len() + services + policies + more
    }

    /// The DNS names of endpoints. Those of MeshExternalServices are the proxy's to look up.
    pub fn external_host_names(&self) -> BTreeSet<String> {
        let inbounds = self.dataplanes.values().flat_map(|dataplane| &dataplane.inbounds);
        let inbounds = inbounds.map(|inbound| &inbound.address);
        let classic = self.external_services.values().map(|service| &service.address);
        let host = |address: &ExternalAddress| match address {
            ExternalAddress::Host(host, _) => Some(host.clone()),
            ExternalAddress::Socket(_) => None,
        };
        inbounds.chain(classic).filter_map(host).collect()
    }
}
