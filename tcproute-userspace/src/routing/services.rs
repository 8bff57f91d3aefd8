//! The services of all meshes: their endpoints, whether they exist, their protocols.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use imbl::OrdMap;

use super::{
    DnsAnswers, Options,
    endpoints::{Chosen, Endpoint, Source},
    identities::Identities,
    pairs::PairIndex,
    protocol,
    selectors::Selectors,
    service::{About, Port, Service, ServiceId, ServiceKey, ServiceResource, Touched},
    vips::{Dialled, Vips},
};
use crate::{
    policy::{Compat, is_ready},
    resources::{
        Dataplane, ExternalAddress, ExternalService, Guard, Inbound, MeshName, MtlsMode, ResourceName,
        Resources, ServiceKind, ServiceName, ServiceRef, ServiceResources, Tags, ZONE_LABEL, Zone,
    },
};

/// What is known of a mesh.
#[derive(Default)]
pub(super) struct Mesh {
    pub(super) tagged: HashMap<ServiceName, ServiceId>,
    pub(super) resources: BTreeMap<(ServiceKind, ResourceName), ServiceResource>,
    pub(super) by_name: HashMap<(ServiceKind, String), BTreeSet<ResourceName>>,
    pub(super) by_label: PairIndex<(ServiceKind, ResourceName)>,
    pub(super) selectors: Selectors,
    identities: Identities,
    pub(super) vips: Vips,
}

/// All services of all meshes.
pub(super) struct Services {
    pub(super) compat: Compat,
    pub(super) guard: Guard,
    services: Vec<Service>,
    ids: HashMap<ServiceKey, ServiceId>,
    pub(super) meshes: HashMap<MeshName, Mesh>,
    /// The services with endpoints that have this DNS name.
    hosts: HashMap<String, BTreeSet<ServiceId>>,
    dns: DnsAnswers,
    pub(super) dialled: Dialled,
}

impl Services {
    pub(super) fn new(options: &Options, resources: &Resources, dns: DnsAnswers) -> Self {
        let compat = options.compat;
        let mut all = Self {
            compat,
            guard: options.guard.clone(),
            services: Vec::new(),
            ids: HashMap::new(),
            meshes: HashMap::new(),
            hosts: HashMap::new(),
            dns,
            dialled: Dialled::default(),
        };
        let mut touched = Touched::new();
        for mesh in resources.identities.keys().chain(resources.tls.keys()).map(|(mesh, _)| mesh) {
            all.set_identities(mesh, Identities::new(compat, resources, mesh));
        }
        all.take_service_resources(
            &ServiceResources::default(),
            &resources.services,
            &OrdMap::new(),
            &mut touched,
        );
        for dataplane in resources.dataplanes.values() {
            all.add_dataplane(dataplane, &mut touched);
        }
        for service in resources.external_services.values() {
            all.add_external_service(service, &mut touched);
        }
        all.take_dialled(&Resources::default(), resources);
        all.renew_vips();
        all
    }

    fn id(&mut self, key: ServiceKey, name: impl FnOnce() -> String) -> ServiceId {
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let id = ServiceId::at(self.services.len());
        self.services.push(Service::new(key.clone(), name().into()));
        self.ids.insert(key, id);
        id
    }

    pub(super) fn mesh(&mut self, mesh: &MeshName) -> &mut Mesh {
        self.meshes.entry(mesh.clone()).or_default()
    }

    pub(super) fn key_of(&self, id: ServiceId) -> &ServiceKey {
        &self.get(id).key
    }

    pub(super) fn all(&self) -> impl Iterator<Item = ServiceId> {
        (0..self.services.len()).map(ServiceId::at)
    }

    fn get(&self, id: ServiceId) -> &Service {
        &self.services[id.index()]
    }

    fn get_mut(&mut self, id: ServiceId) -> &mut Service {
        &mut self.services[id.index()]
    }

    /// The service with this tag, which need not exist.
    pub(super) fn tagged(&mut self, mesh: &MeshName, service: &ServiceName) -> ServiceId {
        if let Some(id) = self.find_tagged(mesh, service) {
            return id;
        }
        let id = self.id(ServiceKey::Tag(mesh.clone(), service.clone()), || service.to_string());
        self.mesh(mesh).tagged.insert(service.clone(), id);
        id
    }

    /// The service with this tag, if anything has ever named it.
    pub(super) fn find_tagged(&self, mesh: &MeshName, service: &ServiceName) -> Option<ServiceId> {
        self.meshes.get(mesh)?.tagged.get(service).copied()
    }

    /// The port of a resource, which is there from now on.
    pub(super) fn add_port(&mut self, mesh: &MeshName, name: &ResourceName, port: Port) -> ServiceId {
        let key = ServiceKey::Port(port.kind, (mesh.clone(), name.clone()), port.number);
        let id = self.id(key, || name.to_string());
        self.get_mut(id).port = Some(port);
        id
    }

    /// Takes all of a port back but its number.
    pub(super) fn clear_port(&mut self, id: ServiceId) {
        let service = self.get_mut(id);
        service.port = None;
        service.endpoints.clear();
        self.set_members(id, Vec::new());
    }

    pub(super) fn set_members(&mut self, id: ServiceId, members: Vec<ServiceId>) {
        let before = std::mem::replace(&mut self.get_mut(id).members, members.clone());
        for member in before {
            self.get_mut(member).member_of.retain(|of| *of != id);
        }
        for member in members {
            self.get_mut(member).member_of.push(id);
        }
    }

    /// Takes other identities of a mesh. Endpoints that are there already keep theirs.
    pub(super) fn set_identities(&mut self, mesh: &MeshName, identities: Identities) {
        self.mesh(mesh).identities = identities;
    }

    /// Adds the endpoints that a Dataplane serves and the services that it dials.
    pub(super) fn add_dataplane(&mut self, dataplane: &Dataplane, touched: &mut Touched) {
        let compat = self.compat;
        let mesh = self.mesh(&dataplane.mesh);
        let identity = mesh.identities.of(compat, dataplane);
        for (id, inbound) in mesh.selectors.matching(compat, dataplane) {
            self.add_endpoint(id, endpoint(dataplane, inbound, identity), touched);
        }
        for inbound in &dataplane.inbounds {
            let Some(service) = &inbound.service else { continue };
            let id = self.tagged(&dataplane.mesh, service);
            if is_ready(compat, inbound) {
                self.add_endpoint(id, endpoint(dataplane, inbound, identity), touched);
            }
            self.get_mut(id).inbounds += 1;
            self.look_at_vips(&dataplane.mesh, service);
        }
        for service in dataplane.outbounds.iter().filter_map(|outbound| outbound.service.tag()) {
            let id = self.tagged(&dataplane.mesh, service);
            self.get_mut(id).outbounds += 1;
            self.touch(id, touched);
        }
    }

    /// Takes back what adding it has added.
    pub(super) fn remove_dataplane(&mut self, dataplane: &Dataplane, touched: &mut Touched) {
        let compat = self.compat;
        let source = Source::Dataplane(dataplane.key());
        let selected = self.mesh(&dataplane.mesh).selectors.matching(compat, dataplane);
        let mut served: BTreeSet<ServiceId> = selected.into_iter().map(|(id, _)| id).collect();
        for inbound in &dataplane.inbounds {
            let Some(service) = &inbound.service else { continue };
            let id = self.tagged(&dataplane.mesh, service);
            if is_ready(compat, inbound) {
                served.insert(id);
            }
            self.get_mut(id).inbounds -= 1;
            self.look_at_vips(&dataplane.mesh, service);
        }
        for id in served {
            self.remove_endpoints(id, &source, touched);
        }
        for service in dataplane.outbounds.iter().filter_map(|outbound| outbound.service.tag()) {
            let id = self.tagged(&dataplane.mesh, service);
            self.get_mut(id).outbounds -= 1;
            self.touch(id, touched);
        }
    }

    /// Adds the endpoints that a Dataplane serves for one service, by selector.
    pub(super) fn add_selected(&mut self, dataplane: &Dataplane, ports: &[ServiceId], touched: &mut Touched) {
        let compat = self.compat;
        let identity = self.mesh(&dataplane.mesh).identities.of(compat, dataplane);
        for (id, inbound) in self.mesh(&dataplane.mesh).selectors.matching(compat, dataplane) {
            if ports.contains(&id) {
                self.add_endpoint(id, endpoint(dataplane, inbound, identity), touched);
            }
        }
    }

    /// Adds the endpoint of an ExternalService, which version 3 does not have.
    pub(super) fn add_external_service(&mut self, service: &ExternalService, touched: &mut Touched) {
        if self.compat == Compat::V3 {
            return;
        }
        let id = self.tagged(&service.mesh, &service.service);
        let endpoint = Endpoint {
            source: Source::ExternalService(service.key()),
            provenance: service.provenance,
            address: service.address.clone(),
            tags: Arc::clone(&service.tags),
            zone: None,
            tls: service.tls,
            identity: None,
        };
        self.add_endpoint(id, endpoint, touched);
    }

    /// Takes it back.
    pub(super) fn remove_external_service(&mut self, service: &ExternalService, touched: &mut Touched) {
        let id = self.tagged(&service.mesh, &service.service);
        self.remove_endpoints(id, &Source::ExternalService(service.key()), touched);
    }

    pub(super) fn add_endpoint(&mut self, id: ServiceId, endpoint: Endpoint, touched: &mut Touched) {
        if let ExternalAddress::Host(host, _) = &endpoint.address {
            self.hosts.entry(host.clone()).or_default().insert(id);
        }
        let endpoints = &mut self.get_mut(id).endpoints;
        let of_source = endpoints.entry(endpoint.source.clone()).or_default();
        if of_source.is_empty() {
            // Nearly all have one, and would get room for four.
            of_source.reserve_exact(1);
        }
        of_source.push(endpoint);
        self.touch(id, touched);
    }

    fn remove_endpoints(&mut self, id: ServiceId, source: &Source, touched: &mut Touched) {
        self.get_mut(id).endpoints.remove(source);
        self.touch(id, touched);
    }

    /// Whether any endpoint ever had a DNS name.
    pub(super) fn have_names(&self) -> bool {
        !self.hosts.is_empty()
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
        match &self.get(id).key {
            ServiceKey::Tag(mesh, _) | ServiceKey::Port(_, (mesh, _), _) => mesh,
        }
    }

    /// As a policy refers to it.
    pub(super) fn reference(&self, id: ServiceId) -> &ServiceRef {
        &self.get(id).reference
    }

    /// What it is, to those that refer to it.
    pub(super) fn about(&self, id: ServiceId) -> About<'_> {
        let service = self.get(id);
        match (&service.key, &service.port) {
            (ServiceKey::Tag(_, name), _) => About::Tag(name),
            (ServiceKey::Port(..), Some(port)) => About::Port(port),
            (ServiceKey::Port(..), None) => About::Gone,
        }
    }

    /// What a port is of, while its resource is there.
    pub(super) fn port(&self, id: ServiceId) -> Option<&Port> {
        self.get(id).port.as_ref()
    }

    /// Whether any inbound is of it, ready or not.
    pub(super) fn has_inbounds(&self, id: ServiceId) -> bool {
        self.get(id).inbounds > 0
    }

    /// Its own endpoints, and where they are, but for those with a DNS name.
    pub(super) fn sockets(&self, id: ServiceId) -> impl Iterator<Item = (&Endpoint, SocketAddr)> {
        self.get(id).endpoints.values().flatten().filter_map(|endpoint| match &endpoint.address {
            ExternalAddress::Socket(socket) => Some((endpoint, *socket)),
            ExternalAddress::Host(..) => None,
        })
    }

    /// A service exists when it has an endpoint, an outbound or a resource.
    pub(super) fn exists(&self, id: ServiceId) -> bool {
        let service = self.get(id);
        service.port.is_some() || service.outbounds > 0 || !service.endpoints.is_empty()
    }

    /// The endpoints that who dials in this zone has, and the protocol.
    pub(super) fn chosen(&self, id: ServiceId, zone: Option<&str>) -> Chosen<'_> {
        let service = self.get(id);
        let members =
            service.members.iter().flat_map(|member| self.get(*member).endpoints.values().flatten());
        Chosen::of(self.compat, service.endpoints.values().flatten().chain(members), zone)
    }

    /// The protocol that is declared, or else that the endpoints agree on.
    pub(super) fn protocol<'a>(&'a self, id: ServiceId, chosen: &Chosen<'a>) -> Option<&'a str> {
        match &self.get(id).port {
            Some(port) => protocol::declared(&port.protocol),
            None => chosen.protocol(),
        }
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

/// The zone that an inbound, or else its Dataplane, says it is in.
pub(super) fn zone_of<'a>(dataplane: &'a Dataplane, tags: &'a Tags) -> Option<&'a str> {
    match (tags.get(ZONE_LABEL), dataplane.meta.zone()) {
        (Some(zone), _) | (None, Zone::Named(zone)) => Some(zone),
        (None, Zone::All | Zone::Local) => None,
    }
}

fn endpoint(dataplane: &Dataplane, inbound: &Inbound, identity: Option<MtlsMode>) -> Endpoint {
    Endpoint {
        source: Source::Dataplane(dataplane.key()),
        provenance: dataplane.meta.provenance,
        address: inbound.address.clone(),
        tags: Arc::clone(&inbound.tags),
        zone: zone_of(dataplane, &inbound.tags).map(Arc::from),
        tls: false,
        identity,
    }
}
