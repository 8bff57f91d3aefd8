//! The policies of all meshes in the order of their strength, and those that apply to a Dataplane.

use std::{collections::HashMap, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    references::Candidates,
    services::{ServiceId, Services},
};
use crate::{
    policy::{Compat, Strength, applies},
    resources::{Dataplane, Key, MeshHttpRoute, MeshName, MeshTcpRoute, Resources, Rule, To},
};

/// An entry of the `to` of a MeshTCPRoute.
pub(super) struct Entry {
    pub(super) policy: Arc<MeshTcpRoute>,
    to: usize,
    /// Where it stands among the policies of its mesh.
    index: u32,
    destinations: Vec<ServiceId>,
    /// What its backendRefs may mean, in their order.
    pub(super) backends: Vec<Candidates>,
}

/// The number of an entry: the greater, the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EntryId(u32);

#[derive(Default)]
struct MeshPolicies {
    tcp: Vec<Arc<MeshTcpRoute>>,
    http: Vec<(Arc<MeshHttpRoute>, Vec<ServiceId>)>,
    /// From weak to strong.
    entries: Vec<EntryId>,
}

/// All policies, and what they say to Dataplanes that the same ones apply to.
pub(super) struct Policies {
    compat: Compat,
    entries: Vec<Entry>,
    meshes: HashMap<MeshName, MeshPolicies>,
    profiles: HashMap<(MeshName, Selection), Arc<Profile>>,
}

/// Which policies of its mesh apply to a Dataplane.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Selection {
    tcp: Vec<u32>,
    http: Vec<u32>,
}

/// What the policies that apply to a Dataplane say.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// The entries about each destination, from weak to strong.
    entries: FxHashMap<ServiceId, Arc<[EntryId]>>,
    /// Destinations that a MeshHTTPRoute covers.
    http_covered: FxHashSet<ServiceId>,
}

impl Entry {
    pub(super) fn to(&self) -> &To {
        &self.policy.to[self.to]
    }

    pub(super) fn strength(&self) -> Strength<'_> {
        let section = self.to().service.port.is_some();
        Strength::new(&self.policy.header, &self.policy.selector, section)
    }
}

impl Profile {
    /// The entries about a destination, from weak to strong.
    pub(super) fn entries(&self, destination: ServiceId) -> Arc<[EntryId]> {
        self.entries.get(&destination).cloned().unwrap_or_default()
    }

    /// Whether a MeshHTTPRoute covers a destination.
    pub(super) fn covers(&self, destination: ServiceId) -> bool {
        self.http_covered.contains(&destination)
    }
}

impl Policies {
    pub(super) fn new(resources: &Resources, compat: Compat, services: &mut Services) -> Self {
        let mut meshes: HashMap<MeshName, MeshPolicies> = HashMap::new();
        let mut entries = Vec::new();
        for ((mesh, name), policy) in &resources.tcp_routes {
            let namespace = name.namespace.as_deref();
            let of_mesh = meshes.entry(mesh.clone()).or_default();
            let index = u32::try_from(of_mesh.tcp.len()).expect("memory ends before 2^32 policies");
            of_mesh.tcp.push(Arc::clone(policy));
            for (to, entry) in policy.to.iter().enumerate() {
                let destinations = services.candidates(mesh, namespace, &entry.service).all().collect();
                let backends = match &entry.rule {
                    Rule::Itself => Vec::new(),
                    Rule::Backends(refs) => refs
                        .iter()
                        .map(|backend| services.candidates(mesh, namespace, &backend.target.service))
                        .collect(),
                };
                entries.push(Entry { policy: Arc::clone(policy), to, index, destinations, backends });
            }
        }
        // Entries of one policy stay in their order.
        entries.sort_by(|a, b| compat.order(&a.strength(), &b.strength()));
        for (id, entry) in (0..).map(EntryId).zip(&entries) {
            if let Some(of_mesh) = meshes.get_mut(&entry.policy.header.mesh) {
                of_mesh.entries.push(id);
            }
        }
        for ((mesh, name), policy) in &resources.http_routes {
            let namespace = name.namespace.as_deref();
            let covered = policy.to.iter();
            let covered =
                covered.flat_map(|to| services.candidates(mesh, namespace, to).all().collect::<Vec<_>>());
            let covered = covered.collect();
            meshes.entry(mesh.clone()).or_default().http.push((Arc::clone(policy), covered));
        }
        Self { compat, entries, meshes, profiles: HashMap::new() }
    }

    /// Whether a MeshHTTPRoute covers a destination.
    pub(super) fn covers(&self, (mesh, name): &Key, destination: ServiceId) -> bool {
        let http = self.meshes.get(mesh).into_iter().flat_map(|policies| &policies.http);
        let mut covered =
            http.filter(|(policy, _)| policy.header.name == *name).flat_map(|(_, covered)| covered);
        covered.any(|covered| *covered == destination)
    }

    pub(super) fn entry(&self, id: EntryId) -> &Entry {
        &self.entries[id.0 as usize]
    }

    /// What applies to a Dataplane.
    pub(super) fn profile(&mut self, dataplane: &Dataplane) -> Arc<Profile> {
        let Some(policies) = self.meshes.get(&dataplane.mesh) else { return Arc::default() };
        let tcp = (0..)
            .zip(&policies.tcp)
            .filter(|(_, policy)| applies(self.compat, &policy.header, &policy.selector, dataplane));
        let http = (0..)
            .zip(&policies.http)
            .filter(|(_, (policy, _))| applies(self.compat, &policy.header, &policy.selector, dataplane));
        let selection =
            Selection { tcp: tcp.map(|(i, _)| i).collect(), http: http.map(|(i, _)| i).collect() };
        let key = (dataplane.mesh.clone(), selection);
        if let Some(profile) = self.profiles.get(&key) {
            return Arc::clone(profile);
        }
        let profile = Arc::new(self.merge(policies, &key.1));
        self.profiles.insert(key, Arc::clone(&profile));
        profile
    }

    fn merge(&self, policies: &MeshPolicies, selection: &Selection) -> Profile {
        let mut entries: FxHashMap<ServiceId, Vec<EntryId>> = FxHashMap::default();
        for &id in &policies.entries {
            let entry = self.entry(id);
            if selection.tcp.binary_search(&entry.index).is_ok() {
                for &destination in &entry.destinations {
                    entries.entry(destination).or_default().push(id);
                }
            }
        }
        let covered = selection.http.iter().flat_map(|&i| &policies.http[i as usize].1);
        Profile {
            entries: entries.into_iter().map(|(service, entries)| (service, entries.into())).collect(),
            http_covered: covered.copied().collect(),
        }
    }
}
