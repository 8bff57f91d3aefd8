//! From changed resources to what has changed in the routes of Dataplanes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use imbl::OrdMap;
use rustc_hash::FxHashSet;

use super::{
    DataplaneRoutes, DnsAnswers, ResolvedRoute, Resolver, UnknownDataplane,
    cache::Replaced,
    changes::changes,
    destination::{Dependency, DestinationKey},
    find::find,
    identities::Identities,
    policies::{Replacement, Route},
    resolver::{Dialler, name_backends_of_http, name_backends_of_tcp, own_sockets},
    service::{ServiceId, Touched},
    service_resources::{ChangedResource, ChangedResources},
    traffic::TrafficRoutes,
};
use crate::resources::{
    Dataplane, Denied, Enforced, Key, MeshHttpRoute, MeshName, MeshTcpRoute, OtherPolicy, ResourceName,
    Resources, ServiceBy, ServiceRef,
};

/// So many changed policies are asked one by one.
const FEW: usize = 8;

/// What a change of the resources has changed.
#[derive(Debug, Default)]
pub struct Update {
    /// Dataplanes that are not what they were.
    dataplanes: BTreeSet<Key>,
    /// Meshes in which services are dialled elsewhere.
    dialled: BTreeSet<MeshName>,
    /// The services of a cluster that are dialled elsewhere, or that other policies may be about.
    redialled: BTreeMap<MeshName, BTreeSet<ServiceId>>,
    /// Meshes in which other addresses do not count.
    denied: BTreeSet<MeshName>,
    /// Meshes in which other policies may hold for any route.
    ruled: BTreeSet<MeshName>,
    /// Services that other policies are about than before, with their names.
    services: BTreeSet<(MeshName, Arc<str>)>,
    /// The policies that have changed.
    tcp: Vec<Replacement<MeshTcpRoute>>,
    http: Vec<Replacement<MeshHttpRoute>>,
    /// Meshes with other policies of other kinds about all that is dialled.
    others: BTreeSet<MeshName>,
    /// Meshes whose servers have other MeshTrafficPermissions.
    permitted: BTreeSet<MeshName>,
    /// Destinations and what they have become.
    destinations: Vec<Replaced>,
}

/// What routes are after an update.
#[derive(Debug, Clone)]
pub enum Refreshed {
    /// The same.
    Untouched,
    /// They lead where they led, but are made from other policies: the next update begins with these.
    Alike(DataplaneRoutes),
    /// They lead elsewhere.
    Touched(DataplaneRoutes),
}

impl Refreshed {
    /// Whether any route leads elsewhere.
    pub const fn is_touched(&self) -> bool {
        matches!(self, Self::Touched(_))
    }

    /// Those to go on with in the place of those before, if there are others.
    pub fn routes(self) -> Option<DataplaneRoutes> {
        match self {
            Self::Untouched => None,
            Self::Alike(routes) | Self::Touched(routes) => Some(routes),
        }
    }
}

impl Resolver {
    /// Takes changed resources and DNS answers. Routes that were resolved before are brought up to date by
    /// [`Self::refresh`].
    pub fn update(&mut self, resources: Resources, dns: DnsAnswers) -> Update {
        let mut update = Update::default();
        let mut touched = Touched::new();
        let mut dependencies = BTreeSet::new();
        let old = std::mem::replace(&mut self.resources, resources);
        self.take_identities(&old, &mut touched);
        let changed = self.services.take_service_resources(
            &old.services,
            &self.resources.services,
            &old.dataplanes,
            &mut touched,
        );
        note_references(&changed, &mut dependencies);
        self.take_dataplanes(&old, &mut touched, &mut update);
        self.services.set_dns(dns, &mut touched);
        self.services.take_dialled(&old, &self.resources);
        let renewed = self.services.renew_vips();
        update.denied = renewed.denied;
        if self.options().in_cluster {
            update.redialled = renewed.services;
            // Their names and labels decide which policies are about them.
            for ChangedResource { mesh, ports, .. } in &changed {
                update.redialled.entry(mesh.clone()).or_default().extend(ports);
            }
        } else {
            update.dialled.extend(renewed.services.into_keys());
            update.dialled.extend(changed.into_iter().map(|it| it.mesh));
        }
        self.take_policies(&old, &mut update);
        dependencies.extend(touched.into_iter().map(Dependency::Service));
        let mut keys: FxHashSet<Arc<DestinationKey>> = FxHashSet::default();
        for dependency in &dependencies {
            keys.extend(self.destinations.dependents(dependency).cloned());
        }
        let meshes = changes(&old.meshes, &self.resources.meshes).into_iter().map(|(mesh, ..)| mesh);
        let meshes: BTreeSet<MeshName> = meshes.chain(update.permitted.iter().cloned()).collect();
        if !meshes.is_empty() {
            let all = self.destinations.all();
            let of_mesh = all.filter(|key| meshes.contains(self.services.mesh_of(key.dialled.service)));
            keys.extend(of_mesh.cloned());
        }
        let (destinations, context) = self.resolving();
        destinations.forget_unused();
        update.destinations = destinations.renew(keys, &context);
        update
    }

    /// Endpoints keep what they are told when they are added, so those of a mesh with other identities are added anew.
    fn take_identities(&mut self, old: &Resources, touched: &mut Touched) {
        let meshes = changes(&old.identities, &self.resources.identities).into_iter().map(|(key, ..)| key.0);
        let tls = changes(&old.tls, &self.resources.tls).into_iter().map(|(key, ..)| key.0);
        let meshes: BTreeSet<MeshName> = meshes.chain(tls).collect();
        for mesh in meshes {
            let identities = Identities::new(self.options().compat, &self.resources, &mesh);
            for dataplane in of_mesh(&old.dataplanes, &mesh) {
                self.services.remove_dataplane(dataplane, touched);
            }
            self.services.set_identities(&mesh, identities);
            for dataplane in of_mesh(&old.dataplanes, &mesh) {
                self.services.add_dataplane(dataplane, touched);
            }
        }
    }

    fn take_dataplanes(&mut self, old: &Resources, touched: &mut Touched, update: &mut Update) {
        for (key, before, after) in changes(&old.dataplanes, &self.resources.dataplanes) {
            if let Some(before) = before {
                self.services.remove_dataplane(&before, touched);
            }
            if let Some(after) = &after {
                self.services.add_dataplane(after, touched);
            }
            update.dataplanes.insert(key);
        }
        for (_, before, after) in changes(&old.external_services, &self.resources.external_services) {
            if let Some(before) = before {
                self.services.remove_external_service(&before, touched);
            }
            if let Some(after) = &after {
                self.services.add_external_service(after, touched);
            }
        }
    }

    fn take_policies(&mut self, old: &Resources, update: &mut Update) {
        let tcp = changes(&old.tcp_routes, &self.resources.tcp_routes);
        for ((mesh, _), before, after) in tcp {
            self.policies.replace_tcp(before.as_ref(), after.as_ref());
            if let Some(after) = &after {
                name_backends_of_tcp(after, &mut self.services);
            }
            for policy in before.iter().chain(&after) {
                self.note_services(&**policy, update);
            }
            update.tcp.push((before, after));
            // Whether any holds at all decides about TrafficRoutes.
            if TrafficRoutes::are_in(&self.resources, &mesh) {
                update.ruled.insert(mesh);
            }
        }
        for (_, before, after) in changes(&old.http_routes, &self.resources.http_routes) {
            self.policies.replace_http(before.as_ref(), after.as_ref());
            if let Some(after) = &after {
                name_backends_of_http(after, &mut self.services);
            }
            for policy in before.iter().chain(&after) {
                self.note_services(&**policy, update);
            }
            update.http.push((before, after));
        }
        let traffic = changes(&old.traffic_routes, &self.resources.traffic_routes);
        update.ruled.extend(traffic.into_iter().map(|(key, ..)| key.0));
        for (_, before, after) in changes(&old.other_policies, &self.resources.other_policies) {
            self.others.replace(before.as_ref(), after.as_ref());
            for policy in before.iter().chain(&after) {
                self.note_other(policy, update);
            }
        }
    }

    /// What another policy of another kind may have changed.
    fn note_other(&self, policy: &OtherPolicy, update: &mut Update) {
        let mesh = &policy.key.0;
        let is_kept = self.options().kept.contains(policy.kind);
        match &policy.enforced {
            Enforced::Everywhere => {
                update.others.insert(mesh.clone());
                if is_kept {
                    update.ruled.insert(mesh.clone());
                }
            }
            Enforced::To(services) => {
                for destination in services {
                    self.note_service(mesh, destination, update);
                }
            }
            Enforced::OnTls(denied) => {
                update.permitted.insert(mesh.clone());
                // Whom it denies is told of who dials.
                if is_kept && matches!(denied, Denied::Tags(_)) {
                    update.ruled.insert(mesh.clone());
                }
            }
            Enforced::AtServers => {}
        }
    }

    /// The services that a policy is about, by the names that routes have.
    fn note_services<R: Route>(&self, policy: &R, update: &mut Update) {
        for to in policy.to() {
            self.note_service(&policy.header().mesh, R::destination(to), update);
        }
    }

    fn note_service(&self, mesh: &MeshName, destination: &ServiceRef, update: &mut Update) {
        if let ServiceBy::Name(name, _) = &destination.by {
            update.services.insert((mesh.clone(), name.as_str().into()));
            if self.options().in_cluster
                && let Some(tagged) = self.services.find_tagged(mesh, name)
            {
                update.redialled.entry(mesh.clone()).or_default().insert(tagged);
            }
        }
        for id in self.services.possibly(mesh, destination) {
            update.services.insert((mesh.clone(), Arc::clone(self.services.name(id))));
            if self.options().in_cluster {
                update.redialled.entry(mesh.clone()).or_default().insert(id);
            }
        }
    }

    /// Brings routes up to date that were resolved, or refreshed, before the update.
    pub fn refresh(
        &mut self,
        before: &DataplaneRoutes,
        update: &Update,
    ) -> Result<Refreshed, UnknownDataplane> {
        let mut routes = before.clone();
        let mesh = routes.mesh.clone();
        // One that is gone has been so for more than one update, perhaps.
        let dataplane = Arc::clone(find(&self.resources, &mesh, &routes.dataplane)?);
        let is_changed = update.dataplanes.iter().any(|(of, name)| *of == mesh && name.is(&routes.dataplane));
        // In a cluster, where none is written in Dataplanes, addresses are looked at one by one.
        let is_redialled = update.dialled.contains(&mesh)
            || (update.redialled.contains_key(&mesh) && !dataplane.outbounds.is_empty());
        if is_changed || is_redialled || update.denied.contains(&mesh) {
            let after = self.resolve(&mesh, &routes.dataplane)?;
            let touched = is_changed || *before != after;
            return Ok(if touched { Refreshed::Touched(after) } else { Refreshed::Alike(after) });
        }
        let mut touched = false;
        for (before, after) in &update.destinations {
            touched |= routes.routes.replace(before, after);
        }
        let is_ruled = update.ruled.contains(&mesh);
        let names = update.services.iter().filter(|(of, _)| *of == mesh).map(|(_, name)| name);
        let routed: Vec<ResolvedRoute> = if is_ruled {
            routes.routes.iter().cloned().collect()
        } else {
            names.flat_map(|name| routes.routes.of_service(name)).cloned().collect()
        };
        let has_others = update.others.contains(&mesh);
        let redialled = update.redialled.get(&mesh);
        if routed.is_empty() && !has_others && redialled.is_none() {
            return Ok(if touched { Refreshed::Touched(routes) } else { Refreshed::Untouched });
        }
        let resources = self.resources.clone();
        let dialler = self.dialler(&resources, &dataplane);
        let mut alike = false;
        let has_few = update.tcp.len() + update.http.len() <= FEW;
        for ResolvedRoute { dialled, destination } in routed {
            let Some(key) = self.destinations.key(&destination) else {
                // It was resolved by another, or is from before an earlier update.
                return Ok(Refreshed::Touched(self.resolve(&mesh, &routes.dataplane)?));
            };
            let after = if is_ruled || !has_few {
                let dialled = key.dialled.clone();
                self.destination(&dialler, dialled)
            } else {
                // Of many policies about a service only those are asked that have changed.
                let asked = self.asked(&dialler, &key.dialled);
                let entries = asked.amended(&key.entries, &update.tcp);
                let http = asked.amended(&key.http, &update.http);
                let others = self.others_of(&dialler, &asked);
                if entries == key.entries && http == key.http && others == key.others {
                    continue;
                }
                self.destination_of(DestinationKey { entries, http, others, ..DestinationKey::clone(key) })
            };
            if !Arc::ptr_eq(&destination, &after) {
                // What is made of other policies may come to the same all the same.
                touched |= *destination != *after;
                alike = true;
                routes.routes.insert(ResolvedRoute { dialled, destination: after });
            }
        }
        for &service in redialled.into_iter().flatten() {
            match self.redial(&mut routes, &dialler, service) {
                Some(redialled) => {
                    touched |= redialled.is_touched;
                    alike |= redialled.is_alike;
                }
                None => return Ok(Refreshed::Touched(self.resolve(&mesh, &routes.dataplane)?)),
            }
        }
        if has_others {
            let others = self.other_policies(&dataplane);
            touched |= others != routes.other_policies;
            routes.other_policies = others;
        }
        Ok(match (touched, alike) {
            (true, _) => Refreshed::Touched(routes),
            (false, true) => Refreshed::Alike(routes),
            (false, false) => Refreshed::Untouched,
        })
    }
}

/// What has become of the routes to a service.
#[derive(Default)]
struct Redialled {
    /// They lead elsewhere, or there are others.
    is_touched: bool,
    /// Some are made from other policies, wherever they lead.
    is_alike: bool,
}

impl Resolver {
    /// Has routes to a service at the addresses at which it is dialled now, by the policies that are about it now,
    /// and no others. `None` if there are contradictions, for which all routes have to be seen.
    fn redial(
        &mut self,
        routes: &mut DataplaneRoutes,
        dialler: &Dialler<'_>,
        service: ServiceId,
    ) -> Option<Redialled> {
        if !routes.conflicts.is_empty() {
            return None;
        }
        let own = own_sockets(dialler.dataplane);
        let vips = self.services.vips_of(&routes.mesh, service).iter();
        let vips = vips.filter(|vip| !own.contains(&vip.address));
        let dialled: Vec<_> = vips.map(|vip| (vip.address, self.dialled_at(service, vip))).collect();
        let keys = dialled.into_iter().map(|(address, dialled)| (address, self.key(dialler, dialled)));
        let mut wanted: BTreeMap<SocketAddr, DestinationKey> =
            keys.filter(|(_, key)| !key.leaves_it_to_the_cluster()).collect();
        let name = Arc::clone(self.services.name(service));
        let is_of_it = |route: &&ResolvedRoute| {
            self.destinations.key(&route.destination).is_some_and(|key| key.dialled.service == service)
        };
        let there: Vec<ResolvedRoute> = routes.routes.of_service(&name).filter(is_of_it).cloned().collect();
        let mut redialled = Redialled::default();
        for ResolvedRoute { dialled, destination: before } in there {
            let Some(key) = wanted.remove(&dialled) else {
                routes.routes.remove(&name, dialled);
                redialled.is_touched = true;
                continue;
            };
            let destination = self.destination_of(key);
            if !Arc::ptr_eq(&before, &destination) {
                redialled.is_touched |= *before != *destination;
                redialled.is_alike = true;
                routes.routes.insert(ResolvedRoute { dialled, destination });
            }
        }
        for (dialled, key) in wanted {
            if routes.routes.at(dialled).is_some() {
                return None;
            }
            let destination = self.destination_of(key);
            routes.routes.insert(ResolvedRoute { dialled, destination });
            redialled.is_touched = true;
        }
        Some(redialled)
    }
}

fn note_references(changed: &ChangedResources, dependencies: &mut BTreeSet<Dependency>) {
    for ChangedResource { mesh, kind, name, .. } in changed {
        for name in [None, Some(name.clone())] {
            dependencies.insert(Dependency::Reference(mesh.clone(), *kind, name));
        }
    }
}

fn of_mesh<'a>(
    dataplanes: &'a OrdMap<Key, Arc<Dataplane>>,
    mesh: &'a MeshName,
) -> impl Iterator<Item = &'a Arc<Dataplane>> {
    let first = (mesh.clone(), ResourceName::first());
    dataplanes.range(first..).take_while(move |((of, _), _)| of == mesh).map(|(_, dataplane)| dataplane)
}
