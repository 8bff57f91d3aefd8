//! The policies of all meshes, found by the destinations that they are about.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::{
    references::{concerns, name_in_old_tag},
    service::About,
};
use crate::{
    policy::{Compat, Referrer, Strength, applies},
    resources::{
        Dataplane, HttpTo, MeshHttpRoute, MeshName, MeshTcpRoute, PolicyHeader, ResourceName, Selector,
        ServiceBy, ServiceKind, ServiceRef, To,
    },
};

/// A policy with a `to`.
pub(super) trait Route {
    /// As in `kind`.
    const KIND: &'static str;

    /// An item of `to`.
    type To;

    fn header(&self) -> &PolicyHeader;
    fn selector(&self) -> &Selector;
    fn to(&self) -> &[Self::To];
    fn destination(to: &Self::To) -> &ServiceRef;
}

impl Route for MeshTcpRoute {
    const KIND: &'static str = Self::KIND;

    type To = To;

    fn header(&self) -> &PolicyHeader {
        &self.header
    }

    fn selector(&self) -> &Selector {
        &self.selector
    }

    fn to(&self) -> &[To] {
        &self.to
    }

    fn destination(to: &To) -> &ServiceRef {
        &to.service
    }
}

impl Route for MeshHttpRoute {
    const KIND: &'static str = Self::KIND;

    type To = HttpTo;

    fn header(&self) -> &PolicyHeader {
        &self.header
    }

    fn selector(&self) -> &Selector {
        &self.selector
    }

    fn to(&self) -> &[HttpTo] {
        &self.to
    }

    fn destination(to: &HttpTo) -> &ServiceRef {
        &to.service
    }
}

/// An item of the `to` of a policy. It is the same only while the policy is the same one in memory.
#[derive(Debug)]
pub(super) struct Entry<R> {
    pub(super) policy: Arc<R>,
    item: usize,
}

impl<R> Clone for Entry<R> {
    fn clone(&self) -> Self {
        Self { policy: Arc::clone(&self.policy), item: self.item }
    }
}

impl<R> PartialEq for Entry<R> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.policy, &other.policy) && self.item == other.item
    }
}

impl<R> Eq for Entry<R> {}

impl<R> Hash for Entry<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.policy).hash(state);
        self.item.hash(state);
    }
}

impl<R: Route> Entry<R> {
    /// Which one of the policy's `to` it is.
    pub(super) const fn item(&self) -> usize {
        self.item
    }

    pub(super) fn to(&self) -> &R::To {
        &self.policy.to()[self.item]
    }

    /// `of_port` tells whether it is about a port of a resource: a tag has none that could be named.
    pub(super) fn strength(&self, of_port: bool) -> Strength<'_> {
        let section = of_port && R::destination(self.to()).port.is_some();
        Strength::new(self.policy.header(), self.policy.selector(), section)
    }
}

/// What policies are asked about: a service, and who dials it.
pub(super) struct Asked<'a> {
    pub(super) compat: Compat,
    pub(super) about: About<'a>,
    /// Whether the outbound names a port by its number.
    pub(super) by_number: bool,
    pub(super) dataplane: &'a Dataplane,
}

/// A policy before and after a change.
pub(super) type Replacement<R> = (Option<Arc<R>>, Option<Arc<R>>);

impl Asked<'_> {
    /// Whether an entry applies to the Dataplane and is about the service.
    fn concerns<R: Route>(&self, entry: &Entry<R>) -> bool {
        let header = entry.policy.header();
        self.is_about(R::destination(entry.to()), &Referrer::new(self.compat, &header.meta))
            && applies(self.compat, header, entry.policy.selector(), self.dataplane)
    }

    /// Whether this is what is dialled.
    pub(super) fn is_about(&self, destination: &ServiceRef, from: &Referrer<'_>) -> bool {
        Self::names(&self.about, destination, from, self.by_number)
    }

    /// Whether a destination is this service, dialled by the number of its port or not.
    pub(super) fn names(
        about: &About<'_>,
        destination: &ServiceRef,
        from: &Referrer<'_>,
        by_number: bool,
    ) -> bool {
        match about {
            About::Tag(tag) => match &destination.by {
                ServiceBy::Name(name, _) => destination.kind == ServiceKind::MeshService && name == *tag,
                ServiceBy::Labels(_) => false,
            },
            About::Port(port) => concerns(destination, from, port, by_number),
            About::Gone => false,
        }
    }

    /// From weak to strong.
    fn sorted<R: Route>(&self, mut entries: Vec<Entry<R>>) -> Vec<Entry<R>> {
        let of_port = matches!(self.about, About::Port(_));
        let order = |a: &Entry<R>, b: &Entry<R>| {
            // Those of one policy stay in their order.
            let by_strength = self.compat.order(&a.strength(of_port), &b.strength(of_port));
            by_strength.then_with(|| a.item.cmp(&b.item))
        };
        if entries.len() > 1 {
            entries.sort_by(order);
        }
        entries
    }

    /// What has become of entries after some policies have changed: as if all were asked again.
    pub(super) fn amended<R: Route>(
        &self,
        entries: &[Entry<R>],
        changed: &[Replacement<R>],
    ) -> Vec<Entry<R>> {
        // By name: what is the same may have been read again, and be another in memory.
        let is_gone = |entry: &&Entry<R>| {
            let header = entry.policy.header();
            let mut before = changed.iter().filter_map(|(before, _)| Some(before.as_ref()?.header()));
            before.any(|before| before.name == header.name && before.mesh == header.mesh)
        };
        let mut amended: Vec<Entry<R>> = entries.iter().filter(|entry| !is_gone(entry)).cloned().collect();
        let before = amended.len();
        for policy in changed.iter().filter_map(|(_, after)| after.as_ref()) {
            let new = (0..policy.to().len()).map(|item| Entry { policy: Arc::clone(policy), item });
            amended.extend(new.filter(|entry| self.concerns(entry)));
        }
        if amended.len() > before { self.sorted(amended) } else { amended }
    }
}

/// The policies of one kind and mesh.
pub(super) struct Index<R> {
    policies: BTreeMap<ResourceName, Arc<R>>,
    named: HashMap<ServiceKind, HashMap<String, Vec<Entry<R>>>>,
    /// Those that name destinations by labels.
    labelled: Vec<Entry<R>>,
}

impl<R> Default for Index<R> {
    fn default() -> Self {
        Self { policies: BTreeMap::new(), named: HashMap::new(), labelled: Vec::new() }
    }
}

impl<R: Route> Index<R> {
    fn insert(&mut self, policy: &Arc<R>) {
        self.policies.insert(policy.header().name.clone(), Arc::clone(policy));
        for (item, to) in policy.to().iter().enumerate() {
            let entry = Entry { policy: Arc::clone(policy), item };
            for (kind, name) in names(R::destination(to)) {
                self.named.entry(kind).or_default().entry(name).or_default().push(entry.clone());
            }
            if matches!(R::destination(to).by, ServiceBy::Labels(_)) {
                self.labelled.push(entry);
            }
        }
    }

    fn remove(&mut self, policy: &Arc<R>) {
        self.policies.remove(&policy.header().name);
        let is_other = |entry: &Entry<R>| entry.policy.header().name != policy.header().name;
        for to in policy.to() {
            for (kind, name) in names(R::destination(to)) {
                let Some(names) = self.named.get_mut(&kind) else { continue };
                if let Some(entries) = names.get_mut(&name) {
                    entries.retain(is_other);
                    if entries.is_empty() {
                        names.remove(&name);
                    }
                }
            }
        }
        self.labelled.retain(is_other);
    }

    /// Those that name a service by what it is called.
    fn naming(&self, about: &About<'_>) -> &[Entry<R>] {
        let named = name_of(about).and_then(|(kind, name)| self.named.get(&kind)?.get(name));
        named.map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether any may be about a service, whoever dials it.
    pub(super) fn may_concern(&self, about: &About<'_>) -> bool {
        !self.labelled.is_empty() || !self.naming(about).is_empty()
    }

    /// Those that apply to a Dataplane and are about a service, from weak to strong.
    pub(super) fn entries(&self, asked: &Asked<'_>) -> Vec<Entry<R>> {
        let named = self.naming(&asked.about).iter();
        let all = named.chain(&self.labelled).filter(|entry| asked.concerns(entry));
        asked.sorted(all.cloned().collect())
    }

    /// Whether any applies to a Dataplane and is about anything.
    pub(super) fn any(&self, compat: Compat, dataplane: &Dataplane) -> bool {
        let mut policies = self.policies.values().filter(|policy| !policy.to().is_empty());
        policies.any(|policy| applies(compat, policy.header(), policy.selector(), dataplane))
    }
}

/// The name under which those are found that are about a service.
pub(super) fn name_of<'a>(about: &About<'a>) -> Option<(ServiceKind, &'a str)> {
    match *about {
        About::Tag(tag) => Some((ServiceKind::MeshService, tag.as_str())),
        About::Port(port) => Some((port.kind, port.meta.display_name.as_str())),
        About::Gone => None,
    }
}

/// The names under which a destination is looked for.
pub(super) fn names(destination: &ServiceRef) -> impl Iterator<Item = (ServiceKind, String)> + use<> {
    let written = match &destination.by {
        ServiceBy::Name(name, _) => Some(name.as_str()),
        ServiceBy::Labels(_) => None,
    };
    let kind = destination.kind;
    let other = name_in_old_tag(destination).filter(|name| Some(*name) != written);
    [written, other].map(|name| name.map(|name| (kind, name.to_owned()))).into_iter().flatten()
}

/// The policies of a mesh.
#[derive(Default)]
pub(super) struct MeshPolicies {
    pub(super) tcp: Index<MeshTcpRoute>,
    pub(super) http: Index<MeshHttpRoute>,
}

/// All policies.
#[derive(Default)]
pub(super) struct Policies {
    meshes: HashMap<MeshName, MeshPolicies>,
}

impl Policies {
    pub(super) fn of(&self, mesh: &MeshName) -> Option<&MeshPolicies> {
        self.meshes.get(mesh)
    }

    /// Puts a policy in the place of another.
    pub(super) fn replace_tcp(
        &mut self,
        before: Option<&Arc<MeshTcpRoute>>,
        after: Option<&Arc<MeshTcpRoute>>,
    ) {
        replace(|mesh| &mut self.meshes.entry(mesh.clone()).or_default().tcp, before, after);
    }

    /// Puts a policy in the place of another.
    pub(super) fn replace_http(
        &mut self,
        before: Option<&Arc<MeshHttpRoute>>,
        after: Option<&Arc<MeshHttpRoute>>,
    ) {
        replace(|mesh| &mut self.meshes.entry(mesh.clone()).or_default().http, before, after);
    }
}

fn replace<'i, R: Route + 'i>(
    index: impl FnOnce(&MeshName) -> &'i mut Index<R>,
    before: Option<&Arc<R>>,
    after: Option<&Arc<R>>,
) {
    let Some(either) = before.or(after) else { return };
    let index = index(&either.header().mesh);
    if let Some(before) = before {
        index.remove(before);
    }
    if let Some(after) = after {
        index.insert(after);
    }
}
