//! The objects of a server, each of which is accepted or refused alone. Pure.

use std::{sync::Arc, time::SystemTime};

use imbl::OrdMap;

use super::{
    InputError,
    name::SourceName,
    snapshot::{Rejection, Subject},
};
use crate::resources::{Identity, Resource, Resources};

/// What has come of all of them.
pub(super) struct Objects {
    source: SourceName,
    pub(super) resources: Resources,
    pub(super) rejected: OrdMap<Subject, Arc<Rejection>>,
    /// Whether any of it is other than when that was asked last.
    changed: bool,
}

/// What has come of one object: what can be used of it, and what is told of it.
#[derive(Debug, Default)]
pub(super) struct Held {
    good: Option<Identity>,
    rejected: Option<Subject>,
}

impl Held {
    /// What is used of it, which may be what it was before.
    pub(super) const fn good(&self) -> Option<&Identity> {
        self.good.as_ref()
    }

    /// What is told of it, if it cannot be used.
    pub(super) const fn rejected(&self) -> Option<&Subject> {
        self.rejected.as_ref()
    }
}

impl Objects {
    pub(super) fn new(source: SourceName) -> Self {
        Self { source, resources: Resources::default(), rejected: OrdMap::new(), changed: false }
    }

    /// Whether anything is other than when this was asked last.
    pub(super) const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }

    /// Takes what can be used in the place of what there was of an object. Also what was not there before, and what is
    /// there no more.
    pub(super) fn accept(&mut self, held: Held, resource: Option<Resource>) -> (Held, Vec<Identity>) {
        let mut moved = Vec::new();
        if let Some(subject) = held.rejected {
            self.changed = true;
            self.rejected.remove(&subject);
        }
        let identity = resource.as_ref().map(Resource::identity);
        if let Some(before) = held.good.filter(|before| identity.as_ref() != Some(before)) {
            self.take_out(&before);
            moved.push(before);
        }
        if let (Some(resource), Some(identity)) = (resource, &identity) {
            if self.resources.get(identity).is_none() {
                moved.push(identity.clone());
            }
            self.changed |= self.resources.put(resource);
        }
        (Held { good: identity, rejected: None }, moved)
    }

    /// Keeps what there was of an object, and tells what is wrong with it.
    pub(super) fn refuse(
        &mut self,
        held: Held,
        subject: Subject,
        violations: Vec<InputError>,
        now: SystemTime,
    ) -> Held {
        if let Some(before) = held.rejected.filter(|before| *before != subject) {
            self.rejected.remove(&before);
        }
        let since = self.rejected.get(&subject).map_or(now, |before| before.since);
        let rejection = Rejection { source: self.source, violations, since, kept: held.good.is_some() };
        if self.rejected.get(&subject).is_none_or(|before| **before != rejection) {
            self.changed = true;
            self.rejected.insert(subject.clone(), Arc::new(rejection));
        }
        Held { good: held.good, rejected: Some(subject) }
    }

    /// Takes out what there was of an object that is gone.
    pub(super) fn remove(&mut self, held: Held) -> Option<Identity> {
        if let Some(subject) = held.rejected {
            self.changed = true;
            self.rejected.remove(&subject);
        }
        if let Some(identity) = &held.good {
            self.take_out(identity);
        }
        held.good
    }

    fn take_out(&mut self, identity: &Identity) {
        self.changed = true;
        self.resources.remove(identity);
    }
}
