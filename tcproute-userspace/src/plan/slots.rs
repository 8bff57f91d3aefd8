//! Which entry of the map `outcomes` counts for which backendRef of which route.
//!
//! A backendRef keeps its entry whatever its weight and its endpoints become, and also when it has left its route:
//! it may come back, and its connections are still open. The entry is given back on the word of who can see
//! that they have ended.

use std::collections::{BTreeMap, BTreeSet};

use tcproute_common::RouteKey;

use super::space::Space;
use crate::routing::ResolvedRoute;

/// What a backendRef is known by within its route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName {
    /// Its target, as people read it.
    pub target: String,
    /// Which one it is of those in the route that have the same target, counted from 0.
    pub nth: u32,
}

impl RefName {
    /// The names of a route's backendRefs, in the order of the policy.
    pub fn of_route(route: &ResolvedRoute) -> Vec<Self> {
        let mut names: Vec<Self> = Vec::new();
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for backend in &route.destination.backends {
            let target = backend.target.to_string();
            let count = seen.entry(target.clone()).or_default();
            names.push(Self { target, nth: *count });
            *count += 1;
        }
        names
    }
}

/// An entry that no route leads to any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departed {
    /// The route that had it.
    pub key: RouteKey,
    /// The backendRef.
    pub name: RefName,
    /// The entry.
    pub slot: u32,
}

/// The entries of the map `outcomes`. Entry 0 stands for none.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    free: Space,
    taken: BTreeMap<RouteKey, BTreeMap<RefName, u32>>,
}

impl Slots {
    pub(crate) fn new(entries: u32) -> Self {
        let mut free = Space::new(entries);
        free.take(1);
        Self { free, taken: BTreeMap::new() }
    }

    /// The entry of a backendRef, a new one if it has none. 0 when all are taken: counting is no reason to refuse a
    /// route.
    pub(crate) fn take(&mut self, key: RouteKey, name: &RefName) -> u32 {
        let slot = self.get(&key, name);
        if slot != 0 {
            return slot;
        }
        let Some(run) = self.free.take(1) else { return 0 };
        self.taken.entry(key).or_default().insert(name.clone(), run.first);
        run.first
    }

    /// The entry of a backendRef; 0 if it has none.
    pub(crate) fn get(&self, key: &RouteKey, name: &RefName) -> u32 {
        self.taken.get(key).and_then(|slots| slots.get(name)).copied().unwrap_or(0)
    }

    /// The entries of all backendRefs but these.
    pub(crate) fn departed<'a>(
        &self,
        mut present: impl FnMut(&RouteKey) -> BTreeSet<&'a RefName>,
    ) -> Vec<Departed> {
        let mut departed = Vec::new();
        for (&key, slots) in &self.taken {
            let present = present(&key);
            let gone = slots.iter().filter(|(name, _)| !present.contains(name));
            departed.extend(gone.map(|(name, &slot)| Departed { key, name: name.clone(), slot }));
        }
        departed
    }

    pub(crate) fn give_back(&mut self, Departed { key, name, .. }: &Departed) {
        let Some(slots) = self.taken.get_mut(key) else { return };
        if let Some(slot) = slots.remove(name) {
            self.free.give_back(super::Run { first: slot, len: 1 });
        }
        if slots.is_empty() {
            self.taken.remove(key);
        }
    }
}
