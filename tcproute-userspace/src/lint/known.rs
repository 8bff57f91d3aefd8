//! What each mesh has, found by tags, names and labels: no rule goes through all of it for each route.

use std::{cell::OnceCell, collections::BTreeMap};

use rustc_hash::{FxHashMap, FxHashSet};

use super::misspelt::Names;
use crate::{
    policy::{Compat, Referrer, includes, selects},
    resources::{
        BackendTarget, Dataplane, DataplaneRef, ExternalService, Gateway, Inbound, Labels, MeshName,
        PolicyHeader, Resources, SERVICE_TAG, Selector, ServiceBy, ServiceKind, ServiceRef, Tags,
    },
};

/// All meshes.
pub(super) struct Known<'a> {
    compat: Compat,
    meshes: BTreeMap<&'a MeshName, Mesh<'a>>,
    nothing: Mesh<'a>,
}

/// A mesh.
#[derive(Default)]
pub(super) struct Mesh<'a> {
    /// Whether it has a Dataplane.
    pub(super) has_dataplanes: bool,
    /// Whether a Dataplane of it may dial something, as those do that policies select.
    pub(super) has_clients: bool,
    /// What has a tag `kuma.io/service`.
    pub(super) services: BTreeMap<&'a str, Service<'a>>,
    /// The service resources.
    resources: FxHashSet<(ServiceKind, &'a str)>,
    /// The ports and gateways of Dataplanes by each of their tags.
    tagged: FxHashMap<(&'a str, &'a str), Vec<Tagged<'a>>>,
    named: FxHashMap<&'a str, Vec<&'a Dataplane>>,
    labelled: FxHashMap<(&'a str, &'a str), Vec<&'a Dataplane>>,
    /// The names of services with endpoints, and of those that targetRefs of routes may name: made when first asked.
    served: OnceCell<Names<'a>>,
    selectable: OnceCell<Names<'a>>,
}

/// A service by its tag.
#[derive(Default)]
pub(super) struct Service<'a> {
    /// Ready or not: that passes.
    pub(super) inbounds: Vec<(&'a Dataplane, usize)>,
    pub(super) external: Vec<&'a ExternalService>,
    /// Whether an outbound leads there.
    pub(super) is_dialled: bool,
    /// Whether a Dataplane that is a gateway has it.
    is_gateway: bool,
}

#[derive(Clone, Copy)]
struct Tagged<'a> {
    dataplane: &'a Dataplane,
    tags: &'a Tags,
    is_inbound: bool,
}

impl Service<'_> {
    pub(super) const fn has_endpoints(&self) -> bool {
        !self.inbounds.is_empty() || !self.external.is_empty()
    }
}

impl<'a> Known<'a> {
    pub(super) fn new(resources: &'a Resources, compat: Compat) -> Self {
        let mut meshes: BTreeMap<&MeshName, Mesh<'_>> = BTreeMap::new();
        for dataplane in resources.dataplanes.values() {
            meshes.entry(&dataplane.mesh).or_default().add(dataplane);
        }
        // Version 3 has none.
        for service in resources.external_services.values().filter(|_| compat != Compat::V3) {
            let mesh = meshes.entry(&service.mesh).or_default();
            mesh.services.entry(service.service.as_str()).or_default().external.push(service);
        }
        let services = &resources.services;
        let mesh = services.mesh.iter().map(|(key, it)| (ServiceKind::MeshService, key, &it.meta));
        let external =
            services.external.iter().map(|(key, it)| (ServiceKind::MeshExternalService, key, &it.meta));
        let zones =
            services.multi_zone.iter().map(|(key, it)| (ServiceKind::MeshMultiZoneService, key, &it.meta));
        for (kind, (mesh, name), meta) in mesh.chain(external).chain(zones) {
            let known = &mut meshes.entry(mesh).or_default().resources;
            known.insert((kind, &*name.name));
            known.insert((kind, meta.display_name.as_str()));
        }
        Self { compat, meshes, nothing: Mesh::default() }
    }

    pub(super) const fn compat(&self) -> Compat {
        self.compat
    }

    pub(super) fn meshes(&self) -> impl Iterator<Item = (&'a MeshName, &Mesh<'a>)> {
        self.meshes.iter().map(|(name, mesh)| (*name, mesh))
    }

    /// What there is of a mesh, which may be nothing.
    pub(super) fn mesh(&self, name: &MeshName) -> &Mesh<'a> {
        self.meshes.get(name).unwrap_or(&self.nothing)
    }

    /// Whether a targetRef means any Dataplane of its mesh.
    pub(super) fn selects_any(&self, header: &PolicyHeader, selector: &Selector) -> bool {
        let mesh = self.mesh(&header.mesh);
        let from = Referrer::new(self.compat, &header.meta);
        let is_meant = |dataplane: &Dataplane| selects(self.compat, selector, &from, dataplane);
        let by_tags = |tags: &Tags, service: Option<&str>| {
            let found =
                mesh.rarest(&tags.iter().chain(service.map(|it| (SERVICE_TAG, it))).collect::<Vec<_>>());
            found.is_none_or(|found| found.iter().any(|tagged| is_meant(tagged.dataplane)))
        };
        match selector {
            Selector::Mesh => true,
            Selector::MeshSubset(tags) => by_tags(tags, None),
            Selector::MeshService(name) => by_tags(&Tags::new(), Some(name.as_str())),
            Selector::MeshServiceSubset(name, tags) => by_tags(tags, Some(name.as_str())),
            Selector::Dataplane(DataplaneRef { name: Some(name), .. }) => {
                let same = mesh.named.get(name.as_str());
                same.into_iter().flatten().any(|dataplane| is_meant(dataplane))
            }
            Selector::Dataplane(DataplaneRef { labels, .. }) => {
                let rarest =
                    labels.iter().map(|pair| mesh.labelled.get(&pair).map_or(&[][..], Vec::as_slice));
                let rarest = rarest.min_by_key(|found| found.len());
                rarest.is_none_or(|found| found.iter().any(|dataplane| is_meant(dataplane)))
            }
        }
    }

    /// Whether a service has an endpoint that a backendRef means, as far as its tags tell.
    pub(super) fn has_endpoint(&self, mesh: &MeshName, name: &str, subset: Option<&Tags>) -> bool {
        let mesh = self.mesh(mesh);
        let Some(service) = mesh.services.get(name).filter(|service| service.has_endpoints()) else {
            return false;
        };
        // Tags do not choose among these.
        let external =
            !service.external.is_empty() && (self.compat == Compat::V2_4 || service.inbounds.is_empty());
        let Some(subset) = subset.filter(|tags| !tags.is_empty() && !external) else { return true };
        let pairs: Vec<_> = subset.iter().chain([(SERVICE_TAG, name)]).collect();
        let fewest = pairs.iter().map(|pair| mesh.with(pair)).min_by_key(|found| found.len());
        let is_meant = |tagged: &Tagged<'_>| {
            tagged.is_inbound && tagged.tags.get(SERVICE_TAG) == Some(name) && includes(tagged.tags, subset)
        };
        fewest.is_some_and(|found| found.iter().any(is_meant))
    }
}

impl<'a> Mesh<'a> {
    fn add(&mut self, dataplane: &'a Dataplane) {
        let gateway = match &dataplane.gateway {
            Some(Gateway::Delegated(tags)) => Some(&**tags),
            _ => None,
        };
        self.has_dataplanes = true;
        self.has_clients |= !dataplane.outbounds.is_empty() || dataplane.transparent || gateway.is_some();
        for (i, inbound) in dataplane.inbounds.iter().enumerate() {
            self.tag(Tagged { dataplane, tags: &inbound.tags, is_inbound: true });
            if let Some(service) = &inbound.service {
                self.services.entry(service.as_str()).or_default().inbounds.push((dataplane, i));
            }
        }
        if let Some(tags) = gateway {
            self.tag(Tagged { dataplane, tags, is_inbound: false });
            if let Some(service) = tags.get(SERVICE_TAG) {
                self.services.entry(service).or_default().is_gateway = true;
            }
        }
        for service in dataplane.outbounds.iter().filter_map(|outbound| outbound.service.tag()) {
            self.services.entry(service.as_str()).or_default().is_dialled = true;
        }
        self.named.entry(dataplane.meta.display_name.as_str()).or_default().push(dataplane);
        for pair in &dataplane.meta.labels {
            self.labelled.entry(pair).or_default().push(dataplane);
        }
    }

    fn tag(&mut self, tagged: Tagged<'a>) {
        for pair in tagged.tags {
            self.tagged.entry(pair).or_default().push(tagged);
        }
    }

    fn with<'s>(&'s self, pair: &(&'s str, &'s str)) -> &'s [Tagged<'s>] {
        self.tagged.get(pair).map_or(&[][..], Vec::as_slice)
    }

    /// What has that tag which the fewest have. `None` if the tags ask for nothing that an index could tell.
    fn rarest<'s>(&'s self, pairs: &[(&'s str, &'s str)]) -> Option<&'s [Tagged<'s>]> {
        let exact = pairs.iter().filter(|(_, value)| *value != "*");
        exact.map(|pair| self.with(pair)).min_by_key(|found| found.len())
    }

    /// Whether there is a resource of this kind and name.
    pub(super) fn has_resource(&self, kind: ServiceKind, name: &str) -> bool {
        self.resources.contains(&(kind, name))
    }

    /// Whether there is a resource of this kind.
    pub(super) fn has_resources(&self, kind: ServiceKind) -> bool {
        self.resources.iter().any(|(of, _)| *of == kind)
    }

    /// The name of a service with endpoints that was meant by one that has none.
    pub(super) fn meant_service(&self, name: &str) -> Option<&'a str> {
        let served = || self.services.iter().filter(|(_, it)| it.has_endpoints()).map(|(name, _)| *name);
        self.served.get_or_init(|| Names::new(served())).meant(name)
    }

    /// The name of a service of Dataplanes that was meant in a targetRef.
    pub(super) fn meant_clients(&self, name: &str) -> Option<&'a str> {
        let all = || self.services.iter().filter(|(_, it)| it.has_dataplanes()).map(|(name, _)| *name);
        self.selectable.get_or_init(|| Names::new(all())).meant(name)
    }

    /// Whether a Dataplane serves a service, or is its gateway.
    pub(super) fn has_clients_of(&self, name: &str) -> bool {
        self.services.get(name).is_some_and(Service::has_dataplanes)
    }
}

impl Service<'_> {
    const fn has_dataplanes(&self) -> bool {
        !self.inbounds.is_empty() || self.is_gateway
    }
}

/// The tag that a reference stands for, and the tags beside it.
pub(super) fn by_tag(target: &BackendTarget) -> Option<(&str, Option<&Tags>)> {
    let ServiceRef { kind: ServiceKind::MeshService, by: ServiceBy::Name(name, _), port: None } =
        &target.service
    else {
        return None;
    };
    Some((name.as_str(), target.subset.as_ref()))
}

/// The inbound of a Dataplane.
pub(super) fn inbound<'a>((dataplane, number): &(&'a Dataplane, usize)) -> &'a Inbound {
    &dataplane.inbounds[*number]
}

/// The labels by which a Dataplane says what it is.
pub(super) const fn labels(dataplane: &Dataplane) -> &Labels {
    &dataplane.meta.labels
}
