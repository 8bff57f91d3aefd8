//! The services of all meshes: their endpoints, whether they exist, their protocols.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{
    DnsAnswers, protocol,
    references::{Candidates, Ports},
    selectors::Selectors,
};
use crate::{
    policy::includes,
    resources::{
        Dataplane, ExternalAddress, ExternalService, MeshName, PROTOCOL_TAG, PortRef, ResourceName,
        Resources, ServiceKind, ServiceName, ServicePort, ServiceRef, Tags,
    },
};

/// A service: what has a tag `kuma.io/service`, or a port of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ServiceId(u32);

/// Services that have changed.
pub(super) type Touched = BTreeSet<ServiceId>;

/// An endpoint of a service.
pub(super) struct Endpoint {
    address: ExternalAddress,
    /// Tells, by where it is in memory, which inbound or ExternalService this is an endpoint of.
    tags: Arc<Tags>,
    /// The proxy originates TLS to it.
    pub(super) tls: bool,
}

struct Service {
    mesh: MeshName,
    /// As the operator knows it.
    name: Arc<str>,
    /// Where the name stands among the names of all services, if they were in place when that was found out.
    rank: Option<u32>,
    /// As a policy refers to it.
    reference: ServiceRef,
    /// The protocol that a resource declares.
    protocol: Option<String>,
    endpoints: Vec<Endpoint>,
    /// The services whose endpoints are endpoints of this one, too.
    members: Vec<ServiceId>,
    member_of: Vec<ServiceId>,
    /// How many outbounds lead here.
    outbounds: usize,
}

/// What is known of a mesh.
#[derive(Default)]
struct Mesh {
    tagged: HashMap<ServiceName, ServiceId>,
    selectors: Selectors,
    ports: Ports,
    vips: Vec<(SocketAddr, ServiceId)>,
}

/// All services of all meshes.
pub(super) struct Services {
    services: Vec<Service>,
    meshes: HashMap<MeshName, Mesh>,
    /// The services with endpoints that have this DNS name.
    hosts: HashMap<String, BTreeSet<ServiceId>>,
    dns: DnsAnswers,
}

impl Services {
    pub(super) fn new(resources: &Resources, dns: DnsAnswers) -> Self {
        let mut all = Self { services: Vec::new(), meshes: HashMap::new(), hosts: HashMap::new(), dns };
        all.add_resources(resources);
        let mut touched = Touched::new();
        for dataplane in resources.dataplanes.values() {
            all.add_dataplane(dataplane, &mut touched);
        }
        for service in resources.external_services.values() {
            all.add_external_service(service, &mut touched);
        }
        all
    }

    fn add_resources(&mut self, resources: &Resources) {
        let resources = &resources.services;
        let mut selected: HashMap<&MeshName, Vec<_>> = HashMap::new();
        for ((mesh, name), service) in &resources.mesh {
            let kind = ServiceKind::MeshService;
            let ids = self.add_ports(mesh, name, kind, &service.ports, &service.vips);
            self.mesh(mesh).ports.add(kind, name, &service.labels, &service.ports, &ids);
            selected.entry(mesh).or_default().push((&**service, ids));
        }
        for (mesh, services) in selected {
            self.mesh(mesh).selectors = Selectors::new(services.into_iter());
        }
        for ((mesh, name), service) in &resources.external {
            let port = [ServicePort::external(service)];
            let kind = ServiceKind::MeshExternalService;
            let ids = self.add_ports(mesh, name, kind, &port, service.vip.as_slice());
            self.mesh(mesh).ports.add(kind, name, &service.labels, &port, &ids);
            for (&id, address) in ids.iter().flat_map(|id| service.endpoints.iter().map(move |to| (id, to))) {
                self.add_endpoint(id, address.clone(), &Arc::default(), service.tls);
            }
        }
        for ((mesh, name), service) in &resources.multi_zone {
            let kind = ServiceKind::MeshMultiZoneService;
            let ids = self.add_ports(mesh, name, kind, &service.ports, &service.vips);
            for (port, &id) in service.ports.iter().zip(&ids) {
                let members = self.mesh(mesh).ports.with_labels(ServiceKind::MeshService, &service.services);
                let members: Vec<ServiceId> =
                    members.filter(|member| member.port == port.port).map(|member| member.id).collect();
                for member in &members {
                    self.get_mut(*member).member_of.push(id);
                }
                self.get_mut(id).members = members;
            }
            self.mesh(mesh).ports.add(kind, name, &service.labels, &service.ports, &ids);
        }
    }

    fn add_ports(
        &mut self,
        mesh: &MeshName,
        name: &ResourceName,
        kind: ServiceKind,
        ports: &[ServicePort],
        vips: &[IpAddr],
    ) -> Vec<ServiceId> {
        let add = |port: &ServicePort| {
            let id = self.add(mesh, &name.to_string(), ServiceRef::port_of(kind, name, port.port));
            self.get_mut(id).protocol = Some(port.protocol.clone());
            let dialled = vips.iter().map(|&vip| (SocketAddr::new(vip, port.port), id));
            self.mesh(mesh).vips.extend(dialled);
            id
        };
        ports.iter().map(add).collect()
    }

    fn add(&mut self, mesh: &MeshName, name: &str, reference: ServiceRef) -> ServiceId {
        let id = ServiceId(u32::try_from(self.services.len()).expect("memory ends before 2^32 services"));
        self.services.push(Service {
            mesh: mesh.clone(),
            name: name.into(),
            rank: None,
            reference,
            protocol: None,
            endpoints: Vec::new(),
            members: Vec::new(),
            member_of: Vec::new(),
            outbounds: 0,
        });
        id
    }

    fn mesh(&mut self, mesh: &MeshName) -> &mut Mesh {
        self.meshes.entry(mesh.clone()).or_default()
    }

    fn get(&self, id: ServiceId) -> &Service {
        &self.services[id.0 as usize]
    }

    fn get_mut(&mut self, id: ServiceId) -> &mut Service {
        &mut self.services[id.0 as usize]
    }

    /// The service with this tag, which need not exist.
    pub(super) fn tagged(&mut self, mesh: &MeshName, service: &ServiceName) -> ServiceId {
        if let Some(id) = self.meshes.get(mesh).and_then(|mesh| mesh.tagged.get(service)) {
            return *id;
        }
        let id = self.add(mesh, service.as_str(), ServiceRef::tagged(service.clone()));
        self.mesh(mesh).tagged.insert(service.clone(), id);
        id
    }

    /// Adds the endpoints that a Dataplane serves and the services that it dials.
    pub(super) fn add_dataplane(&mut self, dataplane: &Dataplane, touched: &mut Touched) {
        for inbound in dataplane.inbounds.iter().filter(|inbound| inbound.ready) {
            let mut ids = self.mesh(&dataplane.mesh).selectors.matching(dataplane, inbound);
            ids.extend(inbound.service.as_ref().map(|service| self.tagged(&dataplane.mesh, service)));
            for id in ids {
                self.add_endpoint(id, inbound.address.clone(), &inbound.tags, false);
                self.touch(id, touched);
            }
        }
        for service in dataplane.outbounds.iter().filter_map(|outbound| outbound.service.tag()) {
            let id = self.tagged(&dataplane.mesh, service);
            self.get_mut(id).outbounds += 1;
            self.touch(id, touched);
        }
    }

    /// Takes back what adding it has added.
    pub(super) fn remove_dataplane(&mut self, dataplane: &Dataplane, touched: &mut Touched) {
        for inbound in dataplane.inbounds.iter().filter(|inbound| inbound.ready) {
            let mut ids = self.mesh(&dataplane.mesh).selectors.matching(dataplane, inbound);
            ids.extend(inbound.service.as_ref().map(|service| self.tagged(&dataplane.mesh, service)));
            for id in ids {
                self.remove_endpoints(id, &inbound.tags, touched);
            }
        }
        for service in dataplane.outbounds.iter().filter_map(|outbound| outbound.service.tag()) {
            let id = self.tagged(&dataplane.mesh, service);
            self.get_mut(id).outbounds -= 1;
            self.touch(id, touched);
        }
    }

    /// Adds the endpoint of an ExternalService.
    pub(super) fn add_external_service(&mut self, service: &ExternalService, touched: &mut Touched) {
        let id = self.tagged(&service.mesh, &service.service);
        self.add_endpoint(id, service.address.clone(), &service.tags, service.tls);
        self.touch(id, touched);
    }

    /// Takes it back.
    pub(super) fn remove_external_service(&mut self, service: &ExternalService, touched: &mut Touched) {
        let id = self.tagged(&service.mesh, &service.service);
        self.remove_endpoints(id, &service.tags, touched);
    }

    fn add_endpoint(&mut self, id: ServiceId, address: ExternalAddress, tags: &Arc<Tags>, tls: bool) {
        if let ExternalAddress::Host(host, _) = &address {
            self.hosts.entry(host.clone()).or_default().insert(id);
        }
        self.get_mut(id).endpoints.push(Endpoint { address, tags: Arc::clone(tags), tls });
    }

    fn remove_endpoints(&mut self, id: ServiceId, tags: &Arc<Tags>, touched: &mut Touched) {
        self.get_mut(id).endpoints.retain(|endpoint| !Arc::ptr_eq(&endpoint.tags, tags));
        self.touch(id, touched);
    }

    /// Takes other addresses of DNS names.
    pub(super) fn set_dns(&mut self, dns: DnsAnswers, touched: &mut Touched) {
        let hosts = std::mem::take(&mut self.hosts);
        for (_, services) in hosts.iter().filter(|(host, _)| dns.get(*host) != self.dns.get(*host)) {
            for id in services {
                self.touch(*id, touched);
            }
        }
        self.hosts = hosts;
        self.dns = dns;
    }

    fn touch(&self, id: ServiceId, touched: &mut Touched) {
        touched.insert(id);
        touched.extend(&self.get(id).member_of);
    }

    /// What a reference in a policy or outbound may mean. `namespace` is that of who refers.
    pub(super) fn candidates(
        &mut self,
        mesh: &MeshName,
        namespace: Option<&str>,
        reference: &ServiceRef,
    ) -> Candidates {
        let tagged = reference.tag().map(|service| self.tagged(mesh, service));
        let ports = self.mesh(mesh).ports.named(namespace, reference).collect();
        Candidates { tagged, ports }
    }

    /// The addresses at which every Dataplane of the mesh can dial a service.
    pub(super) fn vips(&self, mesh: &MeshName) -> &[(SocketAddr, ServiceId)] {
        self.meshes.get(mesh).map(|mesh| mesh.vips.as_slice()).unwrap_or_default()
    }

    /// As the operator knows it.
    pub(super) fn name(&self, id: ServiceId) -> &Arc<str> {
        &self.get(id).name
    }

    /// Makes comparing names as cheap as comparing numbers, for the services that are there now.
    pub(super) fn rank_names(&mut self) {
        let names: BTreeSet<Arc<str>> =
            self.services.iter().map(|service| Arc::clone(&service.name)).collect();
        let ranks: HashMap<Arc<str>, u32> = names.into_iter().zip(0..).collect();
        for service in &mut self.services {
            service.rank = ranks.get(&service.name).copied();
        }
    }

    /// The order of the names.
    pub(super) fn compare_names(&self, a: ServiceId, b: ServiceId) -> Ordering {
        let (a, b) = (self.get(a), self.get(b));
        match (a.rank, b.rank) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.name.cmp(&b.name),
        }
    }

    /// The mesh that it belongs to.
    pub(super) fn mesh_of(&self, id: ServiceId) -> &MeshName {
        &self.get(id).mesh
    }

    /// As a policy refers to it.
    pub(super) fn reference(&self, id: ServiceId) -> &ServiceRef {
        &self.get(id).reference
    }

    /// The port, of a resource.
    pub(super) fn port(&self, id: ServiceId) -> Option<u16> {
        match self.get(id).reference.port {
            Some(PortRef::Number(port)) => Some(port),
            _ => None,
        }
    }

    /// A service exists when it has an endpoint, an outbound or a resource.
    pub(super) fn exists(&self, id: ServiceId) -> bool {
        let service = self.get(id);
        service.reference.port.is_some() || service.outbounds > 0 || !service.endpoints.is_empty()
    }

    /// The protocol that is declared, or else that the endpoints agree on.
    pub(super) fn protocol(&self, id: ServiceId) -> Option<&str> {
        let service = self.get(id);
        let tags =
            service.endpoints.iter().map(|endpoint| endpoint.tags.get(PROTOCOL_TAG).map(String::as_str));
        service.protocol.as_deref().map_or_else(|| protocol::common(tags), protocol::declared)
    }

    /// The endpoints of a service, or those of them that have the tags.
    pub(super) fn matching<'a>(
        &'a self,
        id: ServiceId,
        subset: Option<&'a Tags>,
    ) -> impl Iterator<Item = &'a Endpoint> {
        let service = self.get(id);
        let members = service.members.iter().flat_map(|member| &self.get(*member).endpoints);
        let all = service.endpoints.iter().chain(members);
        all.filter(move |endpoint| subset.is_none_or(|subset| includes(&endpoint.tags, subset)))
    }

    /// Where an endpoint is. One that is named by DNS has as many addresses as the answer.
    pub(super) fn addresses<'a>(&'a self, endpoint: &'a Endpoint) -> impl Iterator<Item = SocketAddr> {
        let (socket, ips, port) = match &endpoint.address {
            ExternalAddress::Socket(socket) => (Some(*socket), [].as_slice(), 0),
            ExternalAddress::Host(host, port) => {
                (None, self.dns.get(host).map(Vec::as_slice).unwrap_or_default(), *port)
            }
        };
        socket.into_iter().chain(ips.iter().map(move |ip| SocketAddr::new(ip.to_canonical(), port)))
    }
}
