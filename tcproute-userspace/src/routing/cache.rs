//! Destinations that were resolved, one for all Dataplanes to which the same applies.

use std::{collections::BTreeSet, num::NonZeroUsize, panic, sync::Arc, thread};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Destination,
    destination::{Context, Dependency, DestinationKey},
};

/// A destination and what has taken its place.
pub(super) type Replaced = (Arc<Destination>, Arc<Destination>);

/// So many new ones are resolved on a processor of their own, if there is one.
const WORTH_A_THREAD: usize = 512;

/// So many that nobody uses any more may be kept before they are looked for.
const MOST_UNUSED: usize = 64;

/// Destinations by what they are made from.
#[derive(Default)]
pub(super) struct Destinations {
    resolved: FxHashMap<Arc<DestinationKey>, Resolved>,
    /// What a destination is made from, by where it is in memory. It is only compared, while the destination is there.
    keys: FxHashMap<usize, Arc<DestinationKey>>,
    dependents: FxHashMap<Dependency, FxHashSet<Arc<DestinationKey>>>,
    /// How many were in use when that was last looked at.
    used: usize,
}

struct Resolved {
    destination: Arc<Destination>,
    depends: BTreeSet<Dependency>,
}

impl Destinations {
    /// The destination of a key, resolved if it was not.
    pub(super) fn get(&mut self, key: DestinationKey, context: &Context<'_>) -> Arc<Destination> {
        if let Some(resolved) = self.resolved.get(&key) {
            return Arc::clone(&resolved.destination);
        }
        let (destination, depends) = context.resolve(&key);
        let destination = Arc::new(destination);
        self.insert(Arc::new(key), Arc::clone(&destination), depends);
        destination
    }

    /// The destinations of keys, in their order. Many that were not resolved are so on all processors.
    pub(super) fn get_all(
        &mut self,
        keys: Vec<DestinationKey>,
        context: &Context<'_>,
    ) -> Vec<Arc<Destination>> {
        let keys: Vec<Arc<DestinationKey>> = keys.into_iter().map(Arc::new).collect();
        let new: FxHashSet<&Arc<DestinationKey>> =
            keys.iter().filter(|&key| !self.resolved.contains_key(key)).collect();
        let new: Vec<&Arc<DestinationKey>> = new.into_iter().collect();
        let resolved = side_by_side(&new, |key| context.resolve(key));
        for (key, (destination, depends)) in new.into_iter().zip(resolved) {
            self.insert(Arc::clone(key), Arc::new(destination), depends);
        }
        keys.iter().map(|key| Arc::clone(&self.resolved[key].destination)).collect()
    }

    fn insert(
        &mut self,
        key: Arc<DestinationKey>,
        destination: Arc<Destination>,
        depends: BTreeSet<Dependency>,
    ) {
        for dependency in &depends {
            self.dependents.entry(dependency.clone()).or_default().insert(Arc::clone(&key));
        }
        self.keys.insert(place(&destination), Arc::clone(&key));
        self.resolved.insert(key, Resolved { destination, depends });
    }

    fn remove(&mut self, key: &DestinationKey) -> Option<Resolved> {
        let (key, resolved) = self.resolved.remove_entry(key)?;
        self.keys.remove(&place(&resolved.destination));
        for dependency in &resolved.depends {
            if let Some(dependents) = self.dependents.get_mut(dependency) {
                dependents.remove(&key);
                if dependents.is_empty() {
                    self.dependents.remove(dependency);
                }
            }
        }
        Some(resolved)
    }

    /// What a destination of these is made from.
    pub(super) fn key(&self, destination: &Arc<Destination>) -> Option<&Arc<DestinationKey>> {
        self.keys.get(&place(destination))
    }

    /// What is made from this.
    pub(super) fn dependents(
        &self,
        dependency: &Dependency,
    ) -> impl Iterator<Item = &Arc<DestinationKey>> + use<'_> {
        self.dependents.get(dependency).into_iter().flatten()
    }

    /// All there are.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<DestinationKey>> {
        self.resolved.keys()
    }

    /// Resolves some again; those that are not what they were.
    pub(super) fn renew(
        &mut self,
        keys: impl IntoIterator<Item = Arc<DestinationKey>>,
        context: &Context<'_>,
    ) -> Vec<Replaced> {
        let mut replaced = Vec::new();
        for key in keys {
            let (destination, depends) = context.resolve(&key);
            let Some(before) = self.remove(&key) else { continue };
            if *before.destination == destination {
                self.insert(key, before.destination, depends);
            } else {
                let destination = Arc::new(destination);
                self.insert(key, Arc::clone(&destination), depends);
                replaced.push((before.destination, destination));
            }
        }
        replaced
    }

    /// Forgets those that nobody uses, now and then.
    pub(super) fn forget_unused(&mut self) {
        if self.resolved.len() <= 2 * self.used + MOST_UNUSED {
            return;
        }
        let is_unused = |resolved: &Resolved| Arc::strong_count(&resolved.destination) == 1;
        let unused = self.resolved.iter().filter(|(_, resolved)| is_unused(resolved));
        let unused: Vec<Arc<DestinationKey>> = unused.map(|(key, _)| Arc::clone(key)).collect();
        for key in unused {
            self.remove(&key);
        }
        self.used = self.resolved.len();
    }
}

/// Does the same for all, in their order, on as many processors as there are and it is worth.
fn side_by_side<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let most = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = (all.len() / WORTH_A_THREAD).clamp(1, most);
    let some = |part: &[T]| -> Vec<R> { part.iter().map(&work).collect() };
    let mut parts = all.chunks(all.len().div_ceil(threads).max(1));
    let Some(own) = parts.next() else { return Vec::new() };
    thread::scope(|scope| {
        // Where no thread can be had, it is done here.
        let others: Vec<_> = parts
            .map(|part| thread::Builder::new().spawn_scoped(scope, move || some(part)).map_err(|_| part))
            .collect();
        let mut done = some(own);
        for other in others {
            done.extend(match other {
                Ok(thread) => thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)),
                Err(part) => some(part),
            });
        }
        done
    })
}

fn place(destination: &Arc<Destination>) -> usize {
    Arc::as_ptr(destination).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_done_in_its_order_on_however_many_processors() {
        for count in [0, 1, WORTH_A_THREAD, 2 * WORTH_A_THREAD, 7 * WORTH_A_THREAD + 3] {
            let all: Vec<usize> = (0..count).collect();
            let done = side_by_side(&all, |number| 2 * number);
            assert_eq!(done, all.iter().map(|number| 2 * number).collect::<Vec<_>>());
        }
    }
}
