//! Policies of other kinds, found by what they are about: what connections that bypass the proxy go without.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    destination::Same,
    kept::KeptKinds,
    policies::{Asked, name_of, names},
    service::About,
};
use crate::{
    policy::{Compat, Referrer, enforces, may_be},
    resources::{
        Applies, Dataplane, DataplaneRef, Denied, Enforced, MeshName, OtherPolicy, PERMISSION, ResourceName,
        SERVICE_TAG, Selector, ServiceBy, ServiceKind, ServiceRef,
    },
};

/// Kind and name: in a mesh no two policies share both.
type Name = (&'static str, ResourceName);

/// Policies, sorted, each once.
type Found<'a> = BTreeMap<(&'static str, &'a ResourceName), &'a Arc<OtherPolicy>>;

/// All policies of other kinds.
#[derive(Default)]
pub(super) struct OtherPolicies {
    meshes: HashMap<MeshName, OfMesh>,
}

/// Those of a mesh, by where they are enforced.
#[derive(Default)]
pub(super) struct OfMesh {
    /// About all that is dialled.
    everywhere: BTreeMap<Name, Arc<OtherPolicy>>,
    /// About services, by name.
    named: HashMap<ServiceKind, HashMap<String, Vec<Arc<OtherPolicy>>>>,
    /// About services, by labels.
    labelled: BTreeMap<Name, Arc<OtherPolicy>>,
    permissions: Permissions,
}

/// MeshTrafficPermissions, by a tag or label that each server has which they select.
#[derive(Default)]
struct Permissions {
    count: usize,
    by_pair: HashMap<String, HashMap<String, BTreeMap<Name, Arc<OtherPolicy>>>>,
    /// Those that may select any server.
    others: BTreeMap<Name, Arc<OtherPolicy>>,
}

/// What the policies of other kinds are to all destinations of a Dataplane.
#[derive(Clone, Default)]
pub(super) struct ToAll {
    /// The one that keeps them at the proxy.
    kept: Option<Same<OtherPolicy>>,
    /// The MeshTrafficPermissions by which servers deny this Dataplane, but not everybody.
    denied_by: Option<Arc<[Same<OtherPolicy>]>>,
}

/// What the policies of other kinds are to a destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct ToOne {
    /// Those about it alone, that the proxy of who dials enforces.
    pub(super) about: Vec<Same<OtherPolicy>>,
    /// The one that keeps it at the proxy.
    pub(super) kept: Option<Same<OtherPolicy>>,
    denied_by: Option<Arc<[Same<OtherPolicy>]>>,
}

impl OtherPolicies {
    pub(super) fn of(&self, mesh: &MeshName) -> Option<&OfMesh> {
        self.meshes.get(mesh)
    }

    /// Puts a policy in the place of another.
    pub(super) fn replace(&mut self, before: Option<&Arc<OtherPolicy>>, after: Option<&Arc<OtherPolicy>>) {
        let Some(either) = before.or(after) else { return };
        let of_mesh = self.meshes.entry(either.key.0.clone()).or_default();
        if let Some(before) = before {
            of_mesh.remove(before);
        }
        if let Some(after) = after {
            of_mesh.insert(after);
        }
    }
}

impl OfMesh {
    fn insert(&mut self, policy: &Arc<OtherPolicy>) {
        match &policy.enforced {
            Enforced::Everywhere => drop(self.everywhere.insert(name(policy), Arc::clone(policy))),
            Enforced::To(services) => {
                for (kind, service) in services.iter().flat_map(names) {
                    let named = self.named.entry(kind).or_default().entry(service).or_default();
                    named.push(Arc::clone(policy));
                }
                if has_labels(services) {
                    self.labelled.insert(name(policy), Arc::clone(policy));
                }
            }
            Enforced::OnTls(_) => self.permissions.insert(policy),
            Enforced::AtServers => {}
        }
    }

    fn remove(&mut self, policy: &Arc<OtherPolicy>) {
        match &policy.enforced {
            Enforced::Everywhere => drop(self.everywhere.remove(&name(policy))),
            Enforced::To(services) => {
                for (kind, service) in services.iter().flat_map(names) {
                    let Some(named) = self.named.get_mut(&kind) else { continue };
                    if let Some(policies) = named.get_mut(&service) {
                        policies.retain(|other| name(other) != name(policy));
                        if policies.is_empty() {
                            named.remove(&service);
                        }
                    }
                }
                self.labelled.remove(&name(policy));
            }
            Enforced::OnTls(_) => self.permissions.remove(policy),
            Enforced::AtServers => {}
        }
    }

    /// Those about all that a Dataplane dials, sorted.
    pub(super) fn everywhere(
        &self,
        compat: Compat,
        dataplane: &Dataplane,
    ) -> impl Iterator<Item = &Arc<OtherPolicy>> {
        self.everywhere.values().filter(move |policy| enforces(compat, dataplane, policy))
    }

    /// What they are to all destinations of a Dataplane.
    pub(super) fn to_all(&self, compat: Compat, kept: &KeptKinds, dataplane: &Dataplane) -> ToAll {
        let mut everywhere = self.everywhere.values().filter(|policy| kept.contains(policy.kind));
        let keeping = everywhere.find(|policy| enforces(compat, dataplane, policy));
        let denied_by: Arc<[Same<OtherPolicy>]> = if kept.contains(PERMISSION) {
            let denies = |policy: &&Arc<OtherPolicy>| match &policy.enforced {
                Enforced::OnTls(Denied::Tags(tags)) => may_be(dataplane, tags),
                _ => false,
            };
            self.permissions.all().filter(denies).cloned().map(Same).collect()
        } else {
            [].into()
        };
        ToAll { kept: keeping.cloned().map(Same), denied_by: Some(denied_by).filter(|all| !all.is_empty()) }
    }

    /// What they are to a destination.
    pub(super) fn to_one(&self, to_all: &ToAll, kept: &KeptKinds, asked: &Asked<'_>) -> ToOne {
        let about: Vec<Same<OtherPolicy>> = self.about(asked).into_values().cloned().map(Same).collect();
        let keeping = || about.iter().find(|policy| kept.contains(policy.0.kind)).cloned();
        ToOne { kept: to_all.kept.clone().or_else(keeping), denied_by: to_all.denied_by.clone(), about }
    }

    fn about(&self, asked: &Asked<'_>) -> Found<'_> {
        let named = name_of(&asked.about).and_then(|(kind, name)| self.named.get(&kind)?.get(name));
        // Labels are those of resources.
        let labelled = matches!(asked.about, About::Port(_)).then(|| self.labelled.values());
        let all = named.into_iter().flatten().chain(labelled.into_iter().flatten());
        let is_about = |policy: &&Arc<OtherPolicy>| {
            let Enforced::To(services) = &policy.enforced else { return false };
            let from = Referrer::new(asked.compat, &policy.meta);
            services.iter().any(|service| asked.is_about(service, &from))
                && enforces(asked.compat, asked.dataplane, policy)
        };
        all.filter(is_about).map(|policy| ((policy.kind, &policy.key.1), policy)).collect()
    }

    /// The MeshTrafficPermissions of some servers.
    pub(super) fn permissions<'a>(
        &'a self,
        compat: Compat,
        servers: impl Iterator<Item = &'a Arc<Dataplane>>,
    ) -> Vec<&'a Arc<OtherPolicy>> {
        let mut found = Found::new();
        for server in servers {
            if found.len() == self.permissions.count {
                break;
            }
            self.permissions.find(compat, server, &mut found);
        }
        found.into_values().collect()
    }
}

impl ToOne {
    /// Whether servers with this MeshTrafficPermission may deny who dials.
    pub(super) fn is_denied_by(&self, permission: &Arc<OtherPolicy>) -> bool {
        let denies = |policy: &Same<OtherPolicy>| Arc::ptr_eq(&policy.0, permission);
        match &permission.enforced {
            Enforced::OnTls(Denied::Anybody) => true,
            Enforced::OnTls(Denied::Tags(_)) => {
                self.denied_by.as_ref().is_some_and(|all| all.iter().any(denies))
            }
            _ => false,
        }
    }
}

impl Permissions {
    fn all(&self) -> impl Iterator<Item = &Arc<OtherPolicy>> {
        let by_pair = self.by_pair.values().flat_map(HashMap::values).flat_map(BTreeMap::values);
        let mut all: Vec<_> = self.others.values().chain(by_pair).collect();
        // In the same order for all Dataplanes, so that they share what comes of it.
        all.sort_unstable_by_key(|policy| Arc::as_ptr(policy).addr());
        all.into_iter()
    }

    fn insert(&mut self, policy: &Arc<OtherPolicy>) {
        self.count += 1;
        let others = match pair(&policy.applies) {
            Some((key, value)) => {
                self.by_pair.entry(key.to_owned()).or_default().entry(value.to_owned()).or_default()
            }
            None => &mut self.others,
        };
        others.insert(name(policy), Arc::clone(policy));
    }

    fn remove(&mut self, policy: &Arc<OtherPolicy>) {
        self.count -= 1;
        let Some((key, value)) = pair(&policy.applies) else {
            self.others.remove(&name(policy));
            return;
        };
        let Some(values) = self.by_pair.get_mut(key) else { return };
        if let Some(policies) = values.get_mut(value) {
            policies.remove(&name(policy));
            if policies.is_empty() {
                values.remove(value);
            }
        }
    }

    /// Adds those of a server.
    fn find<'a>(&'a self, compat: Compat, server: &Dataplane, found: &mut Found<'a>) {
        let tags = server.inbounds.iter().flat_map(|inbound| inbound.tags.iter());
        let by_pair = tags
            .chain(server.meta.labels.iter())
            .filter_map(|(key, value)| self.by_pair.get(key)?.get(value))
            .flat_map(BTreeMap::values);
        for policy in self.others.values().chain(by_pair) {
            let name = (policy.kind, &policy.key.1);
            if !found.contains_key(&name) && enforces(compat, server, policy) {
                found.insert(name, policy);
            }
        }
    }
}

fn name(policy: &OtherPolicy) -> Name {
    (policy.kind, policy.key.1.clone())
}

fn has_labels(services: &[ServiceRef]) -> bool {
    services.iter().any(|service| matches!(service.by, ServiceBy::Labels(_)))
}

/// A tag of an inbound, or a label, that each Dataplane has for which a policy is.
fn pair(applies: &Applies) -> Option<(&str, &str)> {
    let Applies::Selected(selector) = applies else { return None };
    let (key, value) = match selector {
        Selector::Mesh => return None,
        Selector::MeshSubset(tags) => tags.iter().find(|(_, value)| *value != "*")?,
        Selector::MeshService(service) | Selector::MeshServiceSubset(service, _) => {
            (SERVICE_TAG, service.as_str())
        }
        Selector::Dataplane(DataplaneRef { labels, .. }) => labels.iter().next()?,
    };
    (value != "*").then_some((key, value))
}
