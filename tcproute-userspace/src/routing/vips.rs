//! Where all Dataplanes of a mesh dial its services: at the addresses of resources, of Services of Kubernetes, and
//! where the control plane says. What has changed is found by service: a cluster has thousands.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rustc_hash::FxHashMap;

use super::{
    AddressRole, DeniedAddress,
    changes::changes,
    service::{ServiceId, ServiceKey},
    services::Services,
};
use crate::{
    policy::Compat,
    resources::{
        ClusterService, Denial, Identity, KUMA_VIPS, MeshName, Resources, ServiceName, Tags, VirtualOutbound,
    },
};

/// An address at which every Dataplane of a mesh can dial a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vip {
    pub(super) address: SocketAddr,
    /// Further tags of its endpoints.
    pub(super) tags: Tags,
}

impl Vip {
    /// Whether nobody but the mesh knows where it leads. Others are reached in the cluster without it.
    pub(super) fn is_only_of_mesh(&self) -> bool {
        matches!(self.address.ip(), IpAddr::V4(ip) if KUMA_VIPS.contains(&ip))
    }
}

/// Where services are dialled, and where they are not though their resources say so.
#[derive(Default)]
pub(super) struct Vips {
    found: BTreeMap<ServiceId, Found>,
    /// Those that may be dialled elsewhere by now.
    stale: BTreeSet<ServiceId>,
}

#[derive(Default, PartialEq, Eq)]
struct Found {
    vips: Vec<Vip>,
    denied: Vec<DeniedAddress>,
}

/// What the cluster and its control plane say of addresses.
#[derive(Default)]
pub(super) struct Dialled {
    /// Services of Kubernetes and their ports, by the tag of what is behind them.
    cluster: HashMap<ServiceName, Vec<(Arc<ClusterService>, u16)>>,
    /// The addresses of Services, and of how many: the API server sees to it that they are theirs.
    addresses: FxHashMap<IpAddr, usize>,
    /// By mesh and service.
    outbounds: HashMap<MeshName, HashMap<ServiceName, Vec<VirtualOutbound>>>,
}

/// Services that are dialled elsewhere than before.
#[derive(Default)]
pub(super) struct Renewed {
    pub(super) services: BTreeMap<MeshName, BTreeSet<ServiceId>>,
    /// Meshes in which other addresses do not count.
    pub(super) denied: BTreeSet<MeshName>,
}

impl Vips {
    /// They may be dialled elsewhere by now.
    pub(super) fn look_at(&mut self, services: impl IntoIterator<Item = ServiceId>) {
        self.stale.extend(services);
    }
}

impl Services {
    /// The addresses at which every Dataplane of the mesh can dial a service.
    pub(super) fn vips(&self, mesh: &MeshName) -> impl Iterator<Item = (ServiceId, &Vip)> {
        let found = self.meshes.get(mesh).into_iter().flat_map(|mesh| &mesh.vips.found);
        found.flat_map(|(&id, found)| found.vips.iter().map(move |vip| (id, vip)))
    }

    /// Those of one service.
    pub(super) fn vips_of(&self, mesh: &MeshName, service: ServiceId) -> &[Vip] {
        let found = self.meshes.get(mesh).and_then(|mesh| mesh.vips.found.get(&service));
        found.map(|found| found.vips.as_slice()).unwrap_or_default()
    }

    /// The addresses that do not count.
    pub(super) fn denied_vips(&self, mesh: &MeshName) -> impl Iterator<Item = &DeniedAddress> {
        let found = self.meshes.get(mesh).into_iter().flat_map(|mesh| mesh.vips.found.values());
        found.flat_map(|found| &found.denied)
    }

    /// Takes other Services of Kubernetes, and what the control plane says.
    pub(super) fn take_dialled(&mut self, old: &Resources, new: &Resources) {
        // Version 3 has only those that are resources of Kuma. Yet it has addresses of Services.
        let has_tags = self.compat != Compat::V3;
        let mut addresses = BTreeSet::new();
        let mut tags = BTreeSet::new();
        for (_, before, after) in changes(&old.cluster_services, &new.cluster_services) {
            for (service, is_there) in [(before, false), (after, true)] {
                let Some(service) = service else { continue };
                for &ip in &service.addresses {
                    let count = self.dialled.addresses.entry(ip).or_default();
                    *count = if is_there { *count + 1 } else { count.saturating_sub(1) };
                    addresses.insert(ip);
                }
                for &port in service.ports.iter().filter(|_| has_tags) {
                    let Ok(tag) = ServiceName::try_from(service.tag(port)) else { continue };
                    let of_tag = self.dialled.cluster.entry(tag.clone()).or_default();
                    of_tag.retain(|(other, of)| other.key != service.key || *of != port);
                    if is_there {
                        of_tag.push((Arc::clone(&service), port));
                    }
                    tags.insert(tag);
                }
            }
        }
        for tag in &tags {
            if self.dialled.cluster.get(tag).is_some_and(Vec::is_empty) {
                self.dialled.cluster.remove(tag);
            }
        }
        self.dialled.addresses.retain(|_, count| *count > 0);
        for mesh in self.meshes.values_mut() {
            let tagged = tags.iter().filter_map(|tag| mesh.tagged.get(tag));
            mesh.vips.stale.extend(tagged);
            if !addresses.is_empty() {
                // What a resource of the mesh claims may be theirs, or not any more.
                let claims =
                    mesh.resources.values().filter(|it| it.vips.iter().any(|ip| addresses.contains(ip)));
                mesh.vips.stale.extend(claims.flat_map(|resource| &resource.ports));
            }
        }
        self.take_outbounds(old, new);
    }

    fn take_outbounds(&mut self, old: &Resources, new: &Resources) {
        if self.compat == Compat::V3 {
            return;
        }
        for (mesh, before, after) in changes(&old.virtual_outbounds, &new.virtual_outbounds) {
            let services = before.iter().chain(&after).flat_map(|all| &all.0).map(|it| &it.service);
            let services: BTreeSet<ServiceName> = services.cloned().collect();
            let mut stale: Vec<ServiceId> =
                services.iter().map(|service| self.tagged(&mesh, service)).collect();
            if before.is_none() || after.is_none() {
                // From then on Services count no more, or again.
                stale.extend(self.mesh(&mesh).tagged.values());
            }
            self.mesh(&mesh).vips.stale.extend(stale);
            match after {
                None => drop(self.dialled.outbounds.remove(&mesh)),
                Some(after) => {
                    let mut by_service: HashMap<ServiceName, Vec<VirtualOutbound>> = HashMap::new();
                    for outbound in &after.0 {
                        by_service.entry(outbound.service.clone()).or_default().push(outbound.clone());
                    }
                    self.dialled.outbounds.insert(mesh, by_service);
                }
            }
        }
    }

    /// Finds out again where services can be dialled, where that may have changed, and what has.
    pub(super) fn renew_vips(&mut self) -> Renewed {
        let mut renewed = Renewed::default();
        let stale = self.meshes.iter_mut().filter(|(_, mesh)| !mesh.vips.stale.is_empty());
        let stale: Vec<(MeshName, BTreeSet<ServiceId>)> =
            stale.map(|(name, mesh)| (name.clone(), std::mem::take(&mut mesh.vips.stale))).collect();
        for (name, services) in stale {
            for id in services {
                let now = self.find_vips(&name, id);
                let known = &mut self.mesh(&name).vips.found;
                let none = Found::default();
                let before = known.get(&id).unwrap_or(&none);
                if before.denied != now.denied {
                    renewed.denied.insert(name.clone());
                }
                if *before != now {
                    renewed.services.entry(name.clone()).or_default().insert(id);
                    if now == none {
                        known.remove(&id);
                    } else {
                        known.insert(id, now);
                    }
                }
            }
        }
        renewed
    }

    fn find_vips(&self, mesh: &MeshName, id: ServiceId) -> Found {
        let mut found = Found::default();
        match self.key_of(id) {
            ServiceKey::Port(kind, (_, name), _) => {
                let resource =
                    self.meshes.get(mesh).and_then(|mesh| mesh.resources.get(&(*kind, name.clone())));
                let (Some(resource), Some(port)) = (resource, self.port(id)) else { return found };
                for &vip in &resource.vips {
                    let of = || Identity { kind: kind.name(), key: (mesh.clone(), name.clone()) };
                    let judged = if self.dialled.addresses.contains_key(&vip) {
                        self.guard.judge(vip, resource.meta.provenance)
                    } else {
                        self.guard.judge_vip(vip, resource.meta.provenance)
                    };
                    found.take(self, SocketAddr::new(vip, port.number), id, judged, of);
                }
            }
            ServiceKey::Tag(_, tag) => match self.dialled.outbounds.get(mesh) {
                Some(outbounds) => {
                    // The control plane alone writes those.
                    found.vips = outbounds
                        .get(tag)
                        .into_iter()
                        .flatten()
                        .map(|it| Vip { address: it.address, tags: it.tags.clone() })
                        .collect();
                }
                None => self.find_cluster_services(tag, id, &mut found),
            },
        }
        found.vips.sort_by_key(|vip| vip.address);
        found
    }

    /// What the API server gives as an address of a Service is inside of its own range, which it sees to.
    fn find_cluster_services(&self, tag: &ServiceName, id: ServiceId, found: &mut Found) {
        let services = self.dialled.cluster.get(tag).filter(|_| self.has_inbounds(id));
        for (service, port) in services.into_iter().flatten() {
            for &vip in &service.addresses {
                let of = || Identity { kind: ClusterService::KIND, key: service.key.clone() };
                let judged = self.guard.judge(vip, service.provenance);
                found.take(self, SocketAddr::new(vip, *port), id, judged, of);
            }
            if service.addresses.is_empty() {
                for (endpoint, pod) in self.sockets(id) {
                    let judged = self.guard.judge(pod.ip(), endpoint.provenance);
                    let of = || endpoint.source.identity();
                    found.take(self, SocketAddr::new(pod.ip(), *port), id, judged, of);
                }
            }
        }
    }

    /// A change of the inbounds of a service may change where it is dialled.
    pub(super) fn look_at_vips(&mut self, mesh: &MeshName, service: &ServiceName) {
        if self.dialled.cluster.contains_key(service) && !self.dialled.outbounds.contains_key(mesh) {
            let id = self.tagged(mesh, service);
            self.mesh(mesh).vips.stale.insert(id);
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
            Ok(()) => self.vips.push(Vip { address, tags: Tags::new() }),
            Err(why) => {
                let service = services.name(id).clone();
                let role = AddressRole::Dialled;
                self.denied.push(DeniedAddress { role, address, service, of: of(), why });
            }
        }
    }
}
