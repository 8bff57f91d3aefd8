//! Which entry of the map `outcomes` counts for which backendRef of which route.
//!
//! A backendRef keeps its entry whatever its weight and its endpoints become, and also when it has left its route:
//! it may come back, and its connections are still open. The entry is given back on the word of who can see
//! that they have ended.

use std::{collections::BTreeMap, sync::Arc};

use rustc_hash::FxHashMap;
use tcproute_common::{BackendRef, RouteKey, TARGET_LEN};

use super::{change::Run, space::Space};
use crate::routing::{Destination, ResolvedBackend};

/// What a backendRef is known by within its route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName {
    /// Its target, as people read it.
    pub target: String,
    /// Which one it is of those in the route that have the same target, counted from 0.
    pub nth: u32,
}

impl RefName {
    /// For whom a route counts what it refuses while no backendRef has a weight. No target is written so.
    pub fn nobody() -> Self {
        Self { target: "(no backendRef has a weight)".to_owned(), nth: 0 }
    }

    /// The names of a destination's backendRefs, in the order of the policy.
    pub fn of(destination: &Destination) -> Vec<Self> {
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let name = |backend: &ResolvedBackend| {
            let target = backend.target.to_string();
            let count = seen.entry(target.clone()).or_default();
            let nth = *count;
            *count += 1;
            Self { target, nth }
        };
        destination.backends.iter().map(name).collect()
    }

    /// As the map `backend_refs` has it.
    pub(crate) fn entry(&self, route: RouteKey) -> BackendRef {
        let mut target = [0; TARGET_LEN];
        for (byte, &of_name) in target.iter_mut().zip(self.target.as_bytes()) {
            *byte = of_name;
        }
        let target_len = u32::try_from(self.target.len()).unwrap_or(u32::MAX);
        BackendRef { route, nth: self.nth, target_len, target }
    }

    /// Whose entry that is. One that is too long for the map comes back as the name of nobody, and so its counts end
    /// with the daemon.
    fn of_entry(at: u32, BackendRef { nth, target_len, target, .. }: &BackendRef) -> Self {
        let kept = target.get(..*target_len as usize).and_then(|target| str::from_utf8(target).ok());
        let target = kept.map_or_else(|| format!("(entry {at})"), str::to_owned);
        Self { target, nth: *nth }
    }
}

/// An entry that no route leads to any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Departed {
    /// The route that had it.
    pub key: RouteKey,
    /// The backendRef.
    pub name: Arc<RefName>,
}

/// The entries of the map `outcomes`. Entry 0 stands for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    free: Space,
    /// Sorted by name.
    taken: FxHashMap<RouteKey, Vec<(Arc<RefName>, u32)>>,
}

impl Counted {
    pub(crate) fn new(entries: u32) -> Self {
        let mut free = Space::new(entries);
        free.take(1);
        Self { free, taken: FxHashMap::default() }
    }

    /// The entry of a backendRef, and whether it is new; `None` when all are taken.
    pub(crate) fn take(&mut self, key: RouteKey, name: &Arc<RefName>) -> Option<(u32, bool)> {
        if let Some(at) = self.get(&key, name) {
            return Some((at, false));
        }
        let at = self.free.take(1)?.first;
        self.insert(key, Arc::clone(name), at);
        Some((at, true))
    }

    /// Takes an entry that counts for a backendRef already, and answers with the name of that. `None` if it cannot be.
    pub(crate) fn take_at(&mut self, at: u32, backend_ref: &BackendRef) -> Option<Arc<RefName>> {
        let name = Arc::new(RefName::of_entry(at, backend_ref));
        let is_free = self.free.take_at(Run { first: at, len: 1 });
        if !is_free || self.get(&backend_ref.route, &name).is_some() {
            return None;
        }
        self.insert(backend_ref.route, Arc::clone(&name), at);
        Some(name)
    }

    fn insert(&mut self, key: RouteKey, name: Arc<RefName>, at: u32) {
        let all = self.taken.entry(key).or_default();
        let place = all.partition_point(|(other, _)| *other < name);
        all.insert(place, (name, at));
    }

    /// All that are taken.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&RouteKey, &Arc<RefName>, u32)> {
        self.taken.iter().flat_map(|(key, all)| all.iter().map(move |(name, at)| (key, name, *at)))
    }

    /// The backendRefs of a route that have an entry.
    pub(crate) fn of_route(&self, key: &RouteKey) -> impl Iterator<Item = &Arc<RefName>> {
        self.taken.get(key).into_iter().flatten().map(|(name, _)| name)
    }

    pub(crate) fn free_entries(&self) -> u32 {
        self.free.free_entries()
    }

    /// Has more entries from now on.
    pub(crate) fn grow(&mut self, entries: u32) {
        self.free.grow(entries);
    }

    /// The entry of a backendRef, if it has one.
    pub(crate) fn get(&self, key: &RouteKey, name: &RefName) -> Option<u32> {
        let all = self.taken.get(key)?;
        all.iter().find(|(other, _)| **other == *name).map(|(_, at)| *at)
    }

    pub(crate) fn give_back(&mut self, Departed { key, name }: &Departed) {
        let Some(all) = self.taken.get_mut(key) else { return };
        if let Some(place) = all.iter().position(|(other, _)| other == name) {
            let (_, at) = all.remove(place);
            self.free.give_back(Run { first: at, len: 1 });
        }
        if all.is_empty() {
            self.taken.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use tcproute_common::{Address, SocketAddress};

    use super::*;

    #[test]
    fn a_name_comes_back_from_its_entry_unless_it_is_too_long() {
        let route =
            RouteKey { dialled: SocketAddress { address: Address { bytes: [0; 16] }, port: 1 }, workload: 1 };
        let back = |target: &str| {
            let name = RefName { target: target.to_owned(), nth: 2 };
            (RefName::of_entry(7, &name.entry(route)), name)
        };
        let (found, name) = back("MeshServiceSubset backend, version: 1.0");
        assert_eq!(found, name);
        let (found, name) = back(&"ä".repeat(TARGET_LEN / 2));
        assert_eq!(found, name);
        let (found, _) = back(&"a".repeat(TARGET_LEN + 1));
        assert_eq!(found, RefName { target: "(entry 7)".to_owned(), nth: 2 });
    }
}
