//! MeshService, MeshExternalService and MeshMultiZoneService: what is there.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use imbl::OrdMap;

use super::{
    changes::changes,
    service::{Port, ServiceId, ServiceResource, Touched},
    services::Services,
};
use crate::{
    policy::{Compat, includes},
    resources::{
        DISPLAY_NAME_LABEL, Dataplane, DataplaneSelector, Key, Member, Members, MeshExternalService,
        MeshMultiZoneService, MeshName, MeshService, Meta, ResourceName, ServiceKind, ServicePort,
        ServiceResources, Zone,
    },
};

/// What all three kinds have.
struct New<'a> {
    kind: ServiceKind,
    key: &'a Key,
    meta: &'a Meta,
    ports: Vec<ServicePort>,
    vips: Vec<IpAddr>,
    members: Option<Members>,
}

/// A service resource that has changed.
pub(super) struct ChangedResource {
    pub(super) mesh: MeshName,
    pub(super) kind: ServiceKind,
    /// As references name it.
    pub(super) name: String,
    /// The services that it is, or was.
    pub(super) ports: Vec<ServiceId>,
}

pub(super) type ChangedResources = Vec<ChangedResource>;

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
        let meshes: BTreeSet<MeshName> = changed.iter().map(|it| it.mesh.clone()).collect();
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
        let first = (mesh.clone(), ResourceName::first());
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
        let ports = vec![service.service_port()];
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
        let name_of = meta.display_name.clone();
        changed.push(ChangedResource { mesh: mesh.clone(), kind, name: name_of, ports: ids.clone() });
        let mesh = self.mesh(mesh);
        mesh.vips.look_at(ids.iter().copied());
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
        let ServiceResource { meta, ports, .. } = resource;
        known.vips.look_at(ports.iter().copied());
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
        for &id in &ports {
            touched.insert(id);
            self.clear_port(id);
        }
        changed.push(ChangedResource { mesh: mesh.clone(), kind, name: meta.display_name.clone(), ports });
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

/// In version 3 the label of its name is on every resource, written or not.
fn implied(compat: Compat, meta: &Meta) -> Meta {
    let mut meta = meta.clone();
    if compat == Compat::V3 {
        meta.labels.insert_missing(DISPLAY_NAME_LABEL, &meta.display_name);
    }
    meta
}
