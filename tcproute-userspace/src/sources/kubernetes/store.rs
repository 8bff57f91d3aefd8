//! All that the API server has said, as one snapshot; in `pods` which pods of this node have routes. Pure.

mod pods;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use super::{
    super::{
        InputError,
        objects::{self, Objects},
        snapshot::{Health, Snapshot, Subject},
    },
    NAME,
    events::{Complaint, Regarding},
    head::ObjectName,
    kinds::{self, WatchedKind},
    namespace::Namespace,
    object::{Content, Object, Reading},
    pod::Pod,
    service::Service,
    slices::Slices,
    virtual_outbounds,
};
use crate::{
    policy::Compat,
    resources::{Dataplane, DataplaneKey, Identity, Resource, ResourceName},
    workloads::pods::LocalPods,
};

/// Which pods of this node have routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that Kuma says.
    Meshed,
    /// All that are told.
    All,
}

/// What is known.
pub(super) struct Store {
    which: Which,
    /// The rules by which pods have meshes and Dataplanes.
    compat: Compat,
    found: Option<Compat>,
    objects: Objects,
    /// What each object of a kind has come to.
    kinds: BTreeMap<WatchedKind, Kind>,
    services: BTreeMap<ObjectName, Service>,
    namespaces: BTreeMap<String, Namespace>,
    pods: BTreeMap<ObjectName, Pod>,
    /// The Dataplanes that were made here, until the control plane has written them.
    provisional: BTreeSet<DataplaneKey>,
    reading: Reading,
    slices: Slices,
    local: LocalPods,
    /// Whether what pods come to may have changed.
    pods_are_stale: bool,
    /// Whether it is known which kinds there are.
    is_discovered: bool,
    /// Whether anything is other than it was told last.
    changed: bool,
}

#[derive(Default)]
struct Kind {
    objects: BTreeMap<ObjectName, Held>,
    /// Whether all of them were told once.
    is_listed: bool,
    /// Why it is not followed at present, and since when.
    failing: Option<(String, SystemTime)>,
}

/// What is held of an object.
#[derive(Default)]
struct Held {
    object: objects::Held,
    /// Its uid, if it is refused.
    uid: Box<str>,
}

impl Store {
    pub(super) fn new(which: Which, compat: Compat) -> Self {
        Self {
            which,
            compat,
            found: None,
            objects: Objects::new(NAME),
            kinds: BTreeMap::new(),
            services: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            pods: BTreeMap::new(),
            provisional: BTreeSet::new(),
            reading: Reading::new(kinds::DATAPLANES),
            slices: Slices::default(),
            local: LocalPods::default(),
            pods_are_stale: false,
            is_discovered: false,
            changed: false,
        }
    }

    /// Whether anything is other than when this was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        let Self { changed, objects, pods_are_stale, slices, .. } = self;
        let (changed, objects_changed) = (std::mem::take(changed), objects.take_changed());
        changed || objects_changed || *pods_are_stale || slices.are_stale()
    }

    /// Something that is told with the snapshot is other than it was.
    pub(super) const fn set_changed(&mut self) {
        self.changed = true;
    }

    /// How many objects of a kind are known, if it was ever listed.
    pub(super) fn count(&self, kind: WatchedKind) -> Option<usize> {
        self.kinds.get(&kind).filter(|kind| kind.is_listed).map(|kind| kind.objects.len())
    }

    /// It is known which kinds there are.
    pub(super) const fn set_discovered(&mut self) {
        self.changed |= !self.is_discovered;
        self.is_discovered = true;
    }

    /// Whose rules the cluster goes by, as far as that is known.
    pub(super) const fn found_compat(&self) -> Option<Compat> {
        self.found
    }

    /// The cluster goes by these rules; those that were given come before them.
    pub(super) fn find_compat(&mut self, found: Compat, given: Option<Compat>) {
        let compat = given.unwrap_or(found);
        if self.compat != compat {
            self.pods_are_stale = true;
            self.slices.all_changed();
        }
        self.changed |= self.found != Some(found);
        self.compat = compat;
        self.found = Some(found);
    }

    /// A kind that is there, and of which everything will be told.
    pub(super) fn expect(&mut self, kind: WatchedKind) {
        self.changed = true;
        self.kinds.entry(kind).or_default();
    }

    /// A kind that is not there, or not any more.
    pub(super) fn dismiss(&mut self, kind: WatchedKind, now: SystemTime) {
        self.list(kind, Vec::new(), now);
        self.kinds.remove(&kind);
    }

    /// All objects of a kind.
    pub(super) fn list(&mut self, kind: WatchedKind, objects: Vec<Object>, now: SystemTime) {
        let names: BTreeSet<&ObjectName> = objects.iter().map(|object| &object.name).collect();
        let known = self.kinds.entry(kind).or_default();
        let gone: Vec<ObjectName> =
            known.objects.keys().filter(|name| !names.contains(name)).cloned().collect();
        for name in gone {
            self.remove(kind, &name);
        }
        for object in objects {
            self.apply(kind, object, now);
        }
        let known = self.kinds.entry(kind).or_default();
        self.changed |= !known.is_listed || known.failing.is_some();
        known.is_listed = true;
        known.failing = None;
        self.pods_are_stale |= kind == kinds::PODS;
    }

    /// An object that is there, or has changed.
    pub(super) fn apply(&mut self, kind: WatchedKind, object: Object, now: SystemTime) {
        let Object { name, uid, content, .. } = object;
        let held = self.kinds.entry(kind).or_default().objects.remove(&name).unwrap_or_default();
        let (resource, refused) = match content {
            Content::Resource(resource) => (Some(resource), None),
            Content::Service(service, resource) => {
                if self.services.get(&name) != Some(&service) {
                    self.pods_are_stale = true;
                    self.slices.service_changed(&name);
                    self.services.insert(name.clone(), *service);
                }
                (resource, None)
            }
            Content::Pod(pod) => {
                self.pods_are_stale |= self.pods.get(&name) != Some(&pod);
                self.pods.insert(name.clone(), *pod);
                (None, None)
            }
            Content::Namespace(namespace) => {
                if self.namespaces.get(&name.name) != Some(&namespace) {
                    self.pods_are_stale = true;
                    self.slices.all_changed();
                    self.namespaces.insert(name.name.clone(), namespace);
                }
                (None, None)
            }
            Content::Slice(slice) => {
                self.slices.apply(&name, slice);
                (None, None)
            }
            Content::Outbounds(mesh, outbounds) => {
                if self.objects.resources.virtual_outbounds.get(&mesh) != Some(&outbounds) {
                    self.changed = true;
                    self.objects.resources.virtual_outbounds.insert(mesh, outbounds);
                }
                (None, None)
            }
            Content::Nothing => (None, None),
            Content::Refused(identity, errors) => (None, Some((identity, errors))),
        };
        let object = match refused {
            Some((identity, errors)) => {
                let subject = subject(identity, &name, kind);
                self.objects.refuse(held.object, subject, errors, now)
            }
            None => self.accept(held.object, resource),
        };
        // Only what is refused is told of in the cluster.
        let uid = if object.rejected().is_some() { uid.into() } else { Box::default() };
        self.kinds.entry(kind).or_default().objects.insert(name, Held { object, uid });
    }

    /// Takes what can be used in the place of what there was.
    fn accept(&mut self, held: objects::Held, resource: Option<Resource>) -> objects::Held {
        if let Some(Resource::Dataplane(dataplane)) = &resource {
            self.pods_are_stale |= self.provisional.remove(&dataplane.key());
        }
        let (held, moved) = self.objects.accept(held, resource);
        for identity in &moved {
            self.came_or_went(identity);
        }
        held
    }

    /// What is wrong with policies, to be told in the cluster.
    pub(super) fn complaints(&self) -> Vec<Complaint> {
        let policies = self.kinds.iter().filter(|(kind, _)| **kind == kinds::MESH_TCP_ROUTES);
        let objects = policies.flat_map(|(_, known)| &known.objects);
        let complaint = |(name, held): (&ObjectName, &Held)| {
            let rejection = self.objects.rejected.get(held.object.rejected()?)?;
            let then = if rejection.kept { "what it was before stays" } else { "nothing is routed by it" };
            let why: Vec<String> = rejection.violations.iter().map(InputError::without_file).collect();
            let regarding = Regarding {
                api_version: "kuma.io/v1alpha1",
                kind: kinds::MESH_TCP_ROUTES.kind,
                namespace: name.namespace.clone()?,
                name: name.name.clone(),
                uid: held.uid.to_string(),
            };
            let note = format!("tcproute cannot use it, so {then}: {}", why.join("; "));
            Some(Complaint { regarding, reason: "Refused", note })
        };
        objects.filter_map(complaint).collect()
    }

    fn came_or_went(&mut self, Identity { kind, key }: &Identity) {
        if *kind == Dataplane::KIND {
            let ResourceName { name, namespace } = &key.1;
            self.pods_are_stale = true;
            self.slices.pod_changed(namespace.as_deref().unwrap_or_default(), name);
        }
    }

    /// An object that is gone.
    pub(super) fn remove(&mut self, kind: WatchedKind, name: &ObjectName) {
        let held = self.kinds.get_mut(&kind).and_then(|known| known.objects.remove(name));
        let Some(held) = held else { return };
        if let Some(identity) = self.objects.remove(held.object) {
            self.came_or_went(&identity);
        }
        match kind {
            kinds::SERVICES => {
                self.pods_are_stale |= self.services.remove(name).is_some();
                self.slices.service_changed(name);
            }
            kinds::ENDPOINT_SLICES => self.slices.remove(name),
            kinds::PODS => self.pods_are_stale |= self.pods.remove(name).is_some(),
            kinds::NAMESPACES => self.pods_are_stale |= self.namespaces.remove(&name.name).is_some(),
            kinds::CONFIG_MAPS => {
                if let Some(mesh) = virtual_outbounds::mesh_of(&name.name) {
                    self.changed |= self.objects.resources.virtual_outbounds.remove(&mesh).is_some();
                }
            }
            _ => {}
        }
    }

    /// A kind that is not followed at present.
    pub(super) fn fail(&mut self, kind: WatchedKind, why: String, now: SystemTime) {
        let known = self.kinds.entry(kind).or_default();
        let since = known.failing.take().map_or(now, |(_, since)| since);
        known.failing = Some((why, since));
        self.changed = true;
    }

    /// A kind that is followed again.
    pub(super) fn go_on(&mut self, kind: WatchedKind) {
        if let Some(known) = self.kinds.get_mut(&kind) {
            known.failing = None;
            self.changed = true;
        }
    }

    /// All of it at present. `elsewhere` is what keeps everything from being followed.
    pub(super) fn snapshot(&mut self, elsewhere: Option<&(String, SystemTime)>) -> Snapshot {
        if std::mem::take(&mut self.pods_are_stale) {
            self.renew_pods();
        }
        self.renew_slices();
        let of_kinds = self.kinds.values().filter_map(|kind| kind.failing.as_ref());
        let is_answered = self.is_discovered && self.kinds.values().all(|kind| kind.is_listed);
        let health = Health::of_parts(elsewhere.into_iter().chain(of_kinds), is_answered);
        Snapshot {
            resources: self.objects.resources.clone(),
            rejected: self.objects.rejected.clone(),
            health,
            compat: self.found,
            ..Snapshot::default()
        }
    }

    /// The pods of this node that have routes.
    pub(super) const fn local_pods(&self) -> &LocalPods {
        &self.local
    }
}

/// What a rejection is about.
fn subject(identity: Option<Identity>, name: &ObjectName, kind: WatchedKind) -> Subject {
    let ObjectName { namespace, name } = name;
    match (identity, namespace) {
        (Some(identity), _) => Subject::Resource(identity),
        (None, Some(namespace)) => Subject::Place(format!("{} {namespace}/{name}", kind.kind)),
        (None, None) => Subject::Place(format!("{} {name}", kind.kind)),
    }
}

#[cfg(test)]
mod tests;
