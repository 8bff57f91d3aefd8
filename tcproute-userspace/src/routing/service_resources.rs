//! MeshService, MeshExternalService and MeshMultiZoneService: what is there, and which of them a reference means.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use imbl::OrdMap;

use super::{
    changes::changes,
    services::{Port, ServiceId, Services, Touched},
};
use crate::{
    policy::{Compat, Referrer, includes},
    resources::{
        DISPLAY_NAME_LABEL, Dataplane, DataplaneSelector, Key, Member, Members, MeshExternalService,
        MeshMultiZoneService, MeshName, MeshService, Meta, NAMESPACE_LABEL, PortRef, ResourceName, ServiceBy,
        ServiceKind, ServicePort, ServiceRef, ServiceResources, Zone,
    },
};

/// A service resource, as others refer to it.
pub(super) struct ServiceResource {
    pub(super) meta: Arc<Meta>,
    pub(super) ports: Vec<ServiceId>,
    pub(super) vips: Vec<IpAddr>,
    members: Option<Members>,
}

/// Why a reference leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nowhere {
    /// Its labels are those of no resource.
    NoLabels,
    /// There is no such resource, or it has no such port.
    NoPort,
}

/// What all three kinds have.
struct New<'a> {
    kind: ServiceKind,
    key: &'a Key,
    meta: &'a Meta,
    ports: Vec<ServicePort>,
    vips: Vec<IpAddr>,
    members: Option<Members>,
}

/// Service resources that have changed, as references name them.
pub(super) type ChangedResources = Vec<(MeshName, ServiceKind, String)>;

impl Services {
    /// Goes from some service resources to others. The Dataplanes are those that are there already.
    pub(super) fn take_service_resources(
        &mut self,
        old: &ServiceResources,
        new: &ServiceResources,
        dataplanes: &OrdMap<Key, Arc<Dataplane>>,
        touched: &mut Touched,
    ) -> ChangedResources {
        let mut changed = ChangedResources::new();
        for (key, before, after) in changes(&old.mesh, &new.mesh) {
            if before.is_some() {
                self.remove_resource(ServiceKind::MeshService, &key, touched, &mut changed);
            }
            if let Some(after) = after {
                self.add_mesh_service(&key, &after, dataplanes, touched, &mut changed);
            }
        }
        for (key, before, after) in changes(&old.external, &new.external) {
            if before.is_some() {
                self.remove_resource(ServiceKind::MeshExternalService, &key, touched, &mut changed);
            }
            if let Some(after) = after {
                self.add_mesh_external_service(&key, &after, touched, &mut changed);
            }
        }
        for (key, before, after) in changes(&old.multi_zone, &new.multi_zone) {
            if before.is_some() {
                self.remove_resource(ServiceKind::MeshMultiZoneService, &key, touched, &mut changed);
            }
            if let Some(after) = after {
                self.add_multi_zone_service(&key, &after, touched, &mut changed);
            }
        }
        let meshes: BTreeSet<MeshName> = changed.iter().map(|(mesh, ..)| mesh.clone()).collect();
        for mesh in meshes {
            self.find_members(&mesh, touched);
        }
        changed
    }

    fn add_mesh_service(
        &mut self,
        key: &Key,
        service: &MeshService,
        dataplanes: &OrdMap<Key, Arc<Dataplane>>,
        touched: &mut Touched,
        changed: &mut ChangedResources,
    ) {
        let kind = ServiceKind::MeshService;
        let (ports, vips) = (service.ports.clone(), service.vips.clone());
        let new = New { kind, key, meta: &service.meta, ports, vips, members: None };
        let ids = self.add_resource(new, touched, changed);
        // Those of another zone are served there, and not by Dataplanes that are known here.
        if service.meta.is_synced() || service.selector == DataplaneSelector::Nothing {
            return;
        }
        let (mesh, name) = key;
        let targets = service.ports.iter().map(|port| port.target.clone()).zip(ids.iter().copied());
        self.mesh(mesh).selectors.insert(name, &service.selector, targets.collect());
        let first = (mesh.clone(), ResourceName { name: String::new(), namespace: None });
        for (_, dataplane) in dataplanes.range(first..).take_while(|((of, _), _)| of == mesh) {
            self.add_selected(dataplane, &ids, touched);
        }
    }

    fn add_mesh_external_service(
        &mut self,
        key: &Key,
        service: &MeshExternalService,
        touched: &mut Touched,
        changed: &mut ChangedResources,
    ) {
        let kind = ServiceKind::MeshExternalService;
        let ports = vec![ServicePort::external(service)];
        let vips = service.vip.into_iter().collect();
        self.add_resource(
            New { kind, key, meta: &service.meta, ports, vips, members: None },
            touched,
            changed,
        );
    }

    fn add_multi_zone_service(
        &mut self,
        key: &Key,
        service: &MeshMultiZoneService,
        touched: &mut Touched,
        changed: &mut ChangedResources,
    ) {
        let kind = ServiceKind::MeshMultiZoneService;
        let (ports, vips) = (service.ports.clone(), service.vips.clone());
        let members = Some(service.services.clone());
        self.add_resource(New { kind, key, meta: &service.meta, ports, vips, members }, touched, changed);
    }

    fn add_resource(
        &mut self,
        new: New<'_>,
        touched: &mut Touched,
        changed: &mut ChangedResources,
    ) -> Vec<ServiceId> {
        let New { kind, key: (mesh, name), meta, ports, vips, members } = new;
        let meta = Arc::new(implied(self.compat, meta));
        let add = |port: &ServicePort| {
            let port = Port {
                kind,
                meta: Arc::clone(&meta),
                number: port.port,
                name: port.name.clone().filter(|name| !name.is_empty()),
                protocol: port.protocol.clone(),
            };
            self.add_port(mesh, name, port)
        };
        let ids: Vec<ServiceId> = ports.iter().map(add).collect();
        touched.extend(&ids);
        changed.push((mesh.clone(), kind, meta.display_name.clone()));
        let mesh = self.mesh(mesh);
        mesh.vips_are_stale |= !vips.is_empty();
        mesh.by_name.entry((kind, meta.display_name.clone())).or_default().insert(name.clone());
        for (label, value) in &meta.labels {
            mesh.by_label.insert(label, value, (kind, name.clone()));
        }
        let resource = ServiceResource { meta, ports: ids.clone(), vips, members };
        mesh.resources.insert((kind, name.clone()), resource);
        ids
    }

    fn remove_resource(
        &mut self,
        kind: ServiceKind,
        (mesh, name): &Key,
        touched: &mut Touched,
        changed: &mut ChangedResources,
    ) {
        let known = self.mesh(mesh);
        let Some(resource) = known.resources.remove(&(kind, name.clone())) else { return };
        let ServiceResource { meta, ports, vips, .. } = resource;
        known.vips_are_stale |= !vips.is_empty();
        if kind == ServiceKind::MeshService {
            known.selectors.remove(name);
        }
        let display_name = (kind, meta.display_name.clone());
        if let Some(same) = known.by_name.get_mut(&display_name) {
            same.remove(name);
            if same.is_empty() {
                known.by_name.remove(&display_name);
            }
        }
        for (label, value) in &meta.labels {
            known.by_label.remove(label, value, &(kind, name.clone()));
        }
        changed.push((mesh.clone(), kind, meta.display_name.clone()));
        for &id in &ports {
            touched.insert(id);
            self.clear_port(id);
        }
    }

    /// Finds the MeshServices behind those of many zones again.
    fn find_members(&mut self, mesh: &MeshName, touched: &mut Touched) {
        let Some(known) = self.meshes.get(mesh) else { return };
        let mut found = Vec::new();
        for ((kind, _), resource) in &known.resources {
            let (ServiceKind::MeshMultiZoneService, Some(members)) = (kind, &resource.members) else {
                continue;
            };
            let services = known.resources.iter().filter(|((kind, _), service)| {
                *kind == ServiceKind::MeshService && is_member(members, &service.meta)
            });
            let ports: Vec<ServiceId> = services.flat_map(|(_, service)| &service.ports).copied().collect();
            for &id in &resource.ports {
                let number = self.number(id);
                let same = ports.iter().copied().filter(|&member| self.number(member) == number);
                found.push((id, same.collect::<Vec<_>>()));
            }
        }
        for (id, members) in found {
            self.set_members(id, members);
            touched.insert(id);
        }
    }

    /// The port that a backendRef means, if it is one to a resource.
    pub(super) fn find_port(
        &self,
        mesh: &MeshName,
        from: &Referrer<'_>,
        reference: &ServiceRef,
    ) -> Result<ServiceId, Nowhere> {
        let kind = reference.kind;
        let known = self.meshes.get(mesh).ok_or(Nowhere::NoPort)?;
        let resource = match &reference.by {
            ServiceBy::Name(name, namespace) => {
                let same = known.by_name.get(&(kind, name.as_str().to_owned()));
                let mut resources =
                    same.into_iter().flatten().filter_map(|name| known.resources.get(&(kind, name.clone())));
                let is_meant = |resource: &&ServiceResource| {
                    from.means(
                        name.as_str(),
                        namespace.as_deref(),
                        &resource.meta,
                        &zone_of(kind, &resource.meta),
                    )
                };
                resources.find(is_meant).ok_or(Nowhere::NoPort)?
            }
            ServiceBy::Labels(labels) => {
                let candidates = known.by_label.candidates(labels).filter(|(of, _)| *of == kind);
                let resources = candidates.filter_map(|key| known.resources.get(key));
                let fitting = resources.filter(|resource| includes(&resource.meta.labels, labels));
                // The oldest is the least likely to take traffic away from where it went.
                let age =
                    |resource: &&ServiceResource| (resource.meta.created.is_none(), resource.meta.created);
                fitting.min_by_key(age).ok_or(Nowhere::NoLabels)?
            }
        };
        let is_meant = |id: &ServiceId| match (kind, &reference.port, self.port(*id)) {
            (ServiceKind::MeshExternalService, _, Some(_)) => true,
            (_, Some(PortRef::Number(number)), Some(port)) => {
                port.number == *number || port.name.as_deref() == Some(number.to_string().as_str())
            }
            (_, Some(PortRef::Section(section)), Some(port)) => {
                port.name.as_ref() == Some(section) || port.number.to_string() == *section
            }
            (_, None, Some(port)) => port.name.is_none(),
            (_, _, None) => false,
        };
        resource.ports.iter().copied().find(is_meant).ok_or(Nowhere::NoPort)
    }

    fn number(&self, id: ServiceId) -> Option<u16> {
        self.port(id).map(|port| port.number)
    }
}

fn is_member(members: &Members, service: &Meta) -> bool {
    match members {
        Members::Labels(labels) => includes(&service.labels, labels),
        Members::Found(members) => members.iter().any(|Member { name, namespace, zone }| {
            let is_zone = match (service.zone(), zone) {
                (Zone::Named(own), Some(zone)) => own == zone,
                _ => true,
            };
            service.display_name == *name && service.namespace() == namespace.as_deref() && is_zone
        }),
    }
}

/// The zone that a resource is of: those of many zones are made by the global control plane, and so of none.
fn zone_of(kind: ServiceKind, meta: &Meta) -> Zone<'_> {
    match (kind, meta.zone()) {
        (ServiceKind::MeshMultiZoneService, Zone::Local) => Zone::All,
        (_, zone) => zone,
    }
}

/// In version 3 the label of its name is on every resource, written or not.
fn implied(compat: Compat, meta: &Meta) -> Meta {
    let mut meta = meta.clone();
    if compat == Compat::V3 {
        let name = || meta.display_name.clone();
        meta.labels.entry(DISPLAY_NAME_LABEL.to_owned()).or_insert_with(name);
    }
    meta
}

/// What the tag of a service on Kubernetes says, `NAME_NAMESPACE_svc_PORT`: in a `to` it means the resource as well.
fn old_tag(tag: &str) -> Option<(&str, &str, Option<u16>)> {
    let parts: Vec<&str> = tag.split('_').collect();
    match parts[..] {
        [name, namespace, _, port] => Some((name, namespace, Some(port.parse().ok()?))),
        [name, namespace, _] => Some((name, namespace, None)),
        _ => None,
    }
}

/// The name of the resource that a `to` means by an old tag.
pub(super) fn name_in_old_tag(reference: &ServiceRef) -> Option<&str> {
    match (reference.kind, &reference.by, &reference.port) {
        (ServiceKind::MeshService, ServiceBy::Name(name, _), None) => {
            old_tag(name.as_str()).map(|(name, ..)| name)
        }
        _ => None,
    }
}

/// Whether a `to` is about this port. An outbound that has named the port by its number is not reached by its name.
pub(super) fn concerns(reference: &ServiceRef, from: &Referrer<'_>, port: &Port, by_number: bool) -> bool {
    if reference.kind != port.kind {
        return false;
    }
    let ServiceRef { by, port: section, .. } = reference;
    if let (ServiceKind::MeshService, ServiceBy::Name(name, _), None) = (port.kind, by, section)
        && let Some((name, namespace, number)) = old_tag(name.as_str())
    {
        let labels = &port.meta.labels;
        return labels.get(DISPLAY_NAME_LABEL).is_some_and(|own| own == name)
            && labels.get(NAMESPACE_LABEL).is_some_and(|own| own == namespace)
            && number.is_none_or(|number| number == port.number)
            // What is meant is then the port by its name.
            && !(by_number && number.is_some() && port.name.is_some());
    }
    let is_service = match by {
        ServiceBy::Name(name, namespace) => {
            from.means(name.as_str(), namespace.as_deref(), &port.meta, &zone_of(port.kind, &port.meta))
        }
        ServiceBy::Labels(labels) => includes(&port.meta.labels, labels),
    };
    let is_port = match section {
        None => true,
        Some(PortRef::Number(number)) => *number == port.number,
        Some(PortRef::Section(section)) => match &port.name {
            Some(name) => section == name && !by_number,
            None => *section == port.number.to_string(),
        },
    };
    is_service && is_port
}
