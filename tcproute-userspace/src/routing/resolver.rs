//! From resources to the routes of Dataplanes, and from changed resources to what has changed in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use imbl::{OrdMap, ordmap::DiffItem};
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::{
    DataplaneRoutes, Destination, DnsAnswers, Options, ResolvedRoute, UnknownDataplane,
    destination::{DestinationKey, World},
    find::find,
    policies::{Policies, Profile},
    services::{ServiceId, Services, Touched},
};
use crate::{
    policy::enforces,
    resources::{Dataplane, Key, MeshName, MtlsMode, Resources},
};

/// Resolves the routes of Dataplanes against one set of resources, and keeps what it resolved, so that after a
/// change only what the change touches is resolved again.
pub struct Resolver {
    resources: Resources,
    options: Options,
    mtls: BTreeMap<MeshName, MtlsMode>,
    pub(super) services: Services,
    pub(super) policies: Policies,
    destinations: Vec<Resolved>,
    numbers: FxHashMap<DestinationKey, usize>,
    /// The destinations that depend on a service.
    dependents: FxHashMap<ServiceId, Vec<usize>>,
}

struct Resolved {
    key: DestinationKey,
    destination: Arc<Destination>,
}

/// What a change of the resources has changed.
#[derive(Debug)]
pub struct Update(Scope);

#[derive(Debug)]
enum Scope {
    Everything,
    Part {
        /// Dataplanes that are not what they were.
        dataplanes: BTreeSet<Key>,
        /// Destinations and what they have become.
        destinations: Vec<(Arc<Destination>, Arc<Destination>)>,
    },
}

impl Resolver {
    /// Prepares what all Dataplanes share.
    pub fn new(resources: Resources, dns: DnsAnswers, options: Options) -> Self {
        let mtls = resources.meshes.values().filter_map(|mesh| Some((mesh.name.clone(), mesh.mtls?)));
        let mut services = Services::new(&resources, dns);
        let policies = Policies::new(&resources, options.compat, &mut services);
        services.rank_names();
        Self {
            options,
            mtls: mtls.collect(),
            policies,
            services,
            resources,
            destinations: Vec::new(),
            numbers: FxHashMap::default(),
            dependents: FxHashMap::default(),
        }
    }

    /// What is resolved.
    pub const fn resources(&self) -> &Resources {
        &self.resources
    }

    /// How it is resolved.
    pub const fn options(&self) -> Options {
        self.options
    }

    /// The routes of the Dataplane with this name, or, on Kubernetes, `name.namespace`.
    pub fn resolve(&mut self, mesh: &MeshName, name: &str) -> Result<DataplaneRoutes, UnknownDataplane> {
        let dataplane = Arc::clone(find(&self.resources, mesh, name)?);
        let profile = self.policies.profile(&dataplane);
        let mut conflicts = BTreeSet::new();
        let outbounds = self.outbounds(&dataplane, &mut conflicts);
        let route = |(dialled, service): (SocketAddr, ServiceId)| {
            let destination = self.destination(&profile, service, dialled.is_ipv6());
            ResolvedRoute { dialled, destination }
        };
        let routes = outbounds.into_iter().map(route).collect();
        let other = self.resources.other_policies.values();
        let other = other.filter(|policy| enforces(&dataplane, policy));
        Ok(DataplaneRoutes {
            mesh: mesh.clone(),
            dataplane: dataplane.name.to_string(),
            compat: self.options.compat,
            routes,
            conflicts: conflicts.into_iter().collect(),
            other_policies: other.map(|policy| format!("{} {}", policy.kind, policy.key.1)).collect(),
        })
    }

    /// Where the Dataplane dials which service, each address once, sorted by service and address.
    pub(super) fn outbounds(
        &mut self,
        dataplane: &Dataplane,
        conflicts: &mut BTreeSet<String>,
    ) -> Vec<(SocketAddr, ServiceId)> {
        let Dataplane { mesh, name, .. } = dataplane;
        let mut outbounds = Vec::with_capacity(dataplane.outbounds.len());
        for outbound in &dataplane.outbounds {
            let service = match outbound.service.tag() {
                Some(tag) => Some(self.services.tagged(mesh, tag)),
                None => {
                    let candidates =
                        self.services.candidates(mesh, name.namespace.as_deref(), &outbound.service);
                    candidates.all().next()
                }
            };
            match service {
                Some(service) => outbounds.push((outbound.address, service)),
                None => {
                    conflicts.insert(format!(
                        "the outbound {} of Dataplane {name} names a service that does not exist",
                        outbound.address
                    ));
                }
            }
        }
        outbounds.extend_from_slice(self.services.vips(mesh));
        let services = &self.services;
        outbounds.sort_by(|a, b| services.compare_names(a.1, b.1).then_with(|| a.0.cmp(&b.0)));
        let mut taken = FxHashMap::with_capacity_and_hasher(outbounds.len(), FxBuildHasher);
        outbounds.retain(|&(address, service)| {
            let first = *taken.entry(address).or_insert(service);
            if first != service {
                let (first, service) = (services.name(first), services.name(service));
                conflicts.insert(format!(
                    "{address} of Dataplane {name} is the outbound of both {first} and {service}: it leads to {first}",
                ));
            }
            first == service
        });
        // What is left of an address that was there twice stands side by side.
        outbounds.dedup();
        outbounds
    }

    /// Where a service leads, resolved once for all Dataplanes to which the same applies.
    pub(super) fn destination(
        &mut self,
        profile: &Profile,
        service: ServiceId,
        over_ipv6: bool,
    ) -> Arc<Destination> {
        let key = DestinationKey {
            service,
            entries: profile.entries(service),
            http_covered: profile.covers(service),
            over_ipv6,
        };
        if let Some(&number) = self.numbers.get(&key) {
            return Arc::clone(&self.destinations[number].destination);
        }
        let (destination, depends) = self.world().resolve(&key);
        let destination = Arc::new(destination);
        let number = self.destinations.len();
        for service in depends {
            self.dependents.entry(service).or_default().push(number);
        }
        self.numbers.insert(key.clone(), number);
        self.destinations.push(Resolved { key, destination: Arc::clone(&destination) });
        destination
    }

    const fn world(&self) -> World<'_> {
        World { services: &self.services, policies: &self.policies, mtls: &self.mtls, options: self.options }
    }

    /// Takes changed resources and DNS answers. Routes that were resolved before are brought up to date by
    /// [`Self::refresh`].
    pub fn update(&mut self, resources: Resources, dns: DnsAnswers) -> Update {
        let old = &self.resources;
        // What the routes' rules are made of: all but the endpoints.
        let same_rules = old.meshes == resources.meshes
            && old.services == resources.services
            && old.tcp_routes == resources.tcp_routes
            && old.http_routes == resources.http_routes
            && old.other_policies == resources.other_policies;
        if !same_rules {
            *self = Self::new(resources, dns, self.options);
            return Update(Scope::Everything);
        }
        let mut touched = Touched::new();
        let mut dataplanes = BTreeSet::new();
        for (key, before, after) in changes(&self.resources.dataplanes, &resources.dataplanes) {
            if let Some(before) = before {
                self.services.remove_dataplane(&before, &mut touched);
            }
            if let Some(after) = &after {
                self.services.add_dataplane(after, &mut touched);
            }
            put(&mut self.resources.dataplanes, &key, after);
            dataplanes.insert(key);
        }
        for (key, before, after) in changes(&self.resources.external_services, &resources.external_services) {
            if let Some(before) = before {
                self.services.remove_external_service(&before, &mut touched);
            }
            if let Some(after) = &after {
                self.services.add_external_service(after, &mut touched);
            }
            put(&mut self.resources.external_services, &key, after);
        }
        self.services.set_dns(dns, &mut touched);
        Update(Scope::Part { dataplanes, destinations: self.resolve_again(&touched) })
    }

    /// The destinations that depend on these services and are not what they were.
    fn resolve_again(&mut self, touched: &Touched) -> Vec<(Arc<Destination>, Arc<Destination>)> {
        let numbers: BTreeSet<usize> =
            touched.iter().filter_map(|service| self.dependents.get(service)).flatten().copied().collect();
        let mut replaced = Vec::new();
        for number in numbers {
            let (destination, _) = self.world().resolve(&self.destinations[number].key);
            let before = &mut self.destinations[number].destination;
            if **before != destination {
                let destination = Arc::new(destination);
                replaced.push((std::mem::replace(before, Arc::clone(&destination)), destination));
            }
        }
        replaced
    }

    /// Brings routes up to date that were resolved, or refreshed, before the update. Whether they were touched.
    pub fn refresh(
        &mut self,
        routes: &mut DataplaneRoutes,
        update: &Update,
    ) -> Result<bool, UnknownDataplane> {
        let (dataplanes, destinations) = match &update.0 {
            Scope::Everything => {
                *routes = self.resolve(&routes.mesh, &routes.dataplane)?;
                return Ok(true);
            }
            Scope::Part { dataplanes, destinations } => (dataplanes, destinations),
        };
        if dataplanes.iter().any(|(mesh, name)| *mesh == routes.mesh && name.is(&routes.dataplane)) {
            *routes = self.resolve(&routes.mesh, &routes.dataplane)?;
            return Ok(true);
        }
        let mut touched = false;
        for (before, after) in destinations {
            touched |= routes.routes.replace(before, after);
        }
        Ok(touched)
    }
}

type Change<T> = (Key, Option<Arc<T>>, Option<Arc<T>>);

/// What is different in two maps; what they share is passed over.
fn changes<T: Eq>(old: &OrdMap<Key, Arc<T>>, new: &OrdMap<Key, Arc<T>>) -> Vec<Change<T>> {
    let change = |item| match item {
        DiffItem::Add(key, after) => (Key::clone(key), None, Some(Arc::clone(after))),
        DiffItem::Update { old: (key, before), new: (_, after) } => {
            (key.clone(), Some(Arc::clone(before)), Some(Arc::clone(after)))
        }
        DiffItem::Remove(key, before) => (key.clone(), Some(Arc::clone(before)), None),
    };
    old.diff(new).map(change).collect()
}

/// Endpoints are told apart by where their resource is in memory, so one that is the same stays.
fn put<T>(map: &mut OrdMap<Key, Arc<T>>, key: &Key, item: Option<Arc<T>>) {
    match item {
        Some(item) => drop(map.insert(key.clone(), item)),
        None => drop(map.remove(key)),
    }
}
