//! The policies of all meshes, found by the destinations that they are about.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::{
    service_resources::{concerns, name_in_old_tag},
    services::About,
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
    /// An item of `to`.
    type To;

    fn header(&self) -> &PolicyHeader;
    fn selector(&self) -> &Selector;
    fn to(&self) -> &[Self::To];
    fn destination(to: &Self::To) -> &ServiceRef;
}

impl Route for MeshTcpRoute {
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
    pub(super) fn to(&self) -> &R::To {
        &self.policy.to()[self.item]
    }

    /// `of_port` tells whether it is about a port of a resource: a tag has none that could be named.
    pub(super) fn strength(&self, of_port: bool) -> Strength<'_> {
        let section = of_port && R::destination(self.to()).port.is_some();
        Strength::new(self.policy.header(), self.policy.selector(), section)
    }
}

/// The policies of one kind and mesh.
pub(super) struct Index<R> {
    policies: BTreeMap<ResourceName, Arc<R>>,
    named: HashMap<(ServiceKind, String), Vec<Entry<R>>>,
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
            for name in names(R::destination(to)) {
                self.named.entry(name).or_default().push(entry.clone());
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
            for name in names(R::destination(to)) {
                if let Some(entries) = self.named.get_mut(&name) {
                    entries.retain(is_other);
                    if entries.is_empty() {
                        self.named.remove(&name);
                    }
                }
            }
        }
        self.labelled.retain(is_other);
    }

    /// Those that apply to a Dataplane and are about a service, from weak to strong.
    pub(super) fn entries(
        &self,
        compat: Compat,
        about: &About<'_>,
        by_number: bool,
        dataplane: &Dataplane,
    ) -> Vec<Entry<R>> {
        let mut entries = self.about(about, by_number);
        entries.retain(|entry| applies(compat, entry.policy.header(), entry.policy.selector(), dataplane));
        let of_port = matches!(about, About::Port(_));
        if entries.len() > 1 {
            // Those of one policy stay in their order.
            entries.sort_by_key(|entry| entry.item);
            entries.sort_by(|a, b| compat.order(&a.strength(of_port), &b.strength(of_port)));
        }
        entries
    }

    /// Those that are about a service.
    fn about(&self, about: &About<'_>, by_number: bool) -> Vec<Entry<R>> {
        match about {
            About::Tag(tag) => {
                let key = (ServiceKind::MeshService, tag.as_str().to_owned());
                let named = self.named.get(&key).into_iter().flatten();
                let is_tag = |entry: &&Entry<R>| match &R::destination(entry.to()).by {
                    ServiceBy::Name(name, _) => name == *tag,
                    ServiceBy::Labels(_) => false,
                };
                named.filter(is_tag).cloned().collect()
            }
            About::Port(port) => {
                let key = (port.kind, port.meta.display_name.clone());
                let all = self.named.get(&key).into_iter().flatten().chain(&self.labelled);
                let is_about = |entry: &&Entry<R>| {
                    let from = Referrer::new(&entry.policy.header().meta);
                    concerns(R::destination(entry.to()), &from, port, by_number)
                };
                all.filter(is_about).cloned().collect()
            }
            About::Gone => Vec::new(),
        }
    }

    /// Whether any applies to a Dataplane and is about anything.
    pub(super) fn any(&self, compat: Compat, dataplane: &Dataplane) -> bool {
        let mut policies = self.policies.values().filter(|policy| !policy.to().is_empty());
        policies.any(|policy| applies(compat, policy.header(), policy.selector(), dataplane))
    }
}

/// The names under which a destination is looked for.
fn names(destination: &ServiceRef) -> impl Iterator<Item = (ServiceKind, String)> {
    let written = match &destination.by {
        ServiceBy::Name(name, _) => Some(name.as_str()),
        ServiceBy::Labels(_) => None,
    };
    let kind = destination.kind;
    let other = name_in_old_tag(destination).filter(|name| Some(*name) != written);
    written.into_iter().chain(other).map(move |name| (kind, name.to_owned()))
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
