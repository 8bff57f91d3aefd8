//! Things found by the tags or labels that they have or ask for.

use std::collections::{BTreeSet, HashMap};

use crate::resources::Labels;

/// Items by a key and a value.
#[derive(Debug)]
pub(super) struct PairIndex<T> {
    values: HashMap<String, HashMap<String, BTreeSet<T>>>,
}

impl<T> Default for PairIndex<T> {
    fn default() -> Self {
        Self { values: HashMap::new() }
    }
}

impl<T: Ord + Clone> PairIndex<T> {
    pub(super) fn insert(&mut self, key: &str, value: &str, item: T) {
        self.values.entry(key.to_owned()).or_default().entry(value.to_owned()).or_default().insert(item);
    }

    pub(super) fn remove(&mut self, key: &str, value: &str, item: &T) {
        let Some(values) = self.values.get_mut(key) else { return };
        if let Some(items) = values.get_mut(value) {
            items.remove(item);
            if items.is_empty() {
                values.remove(value);
            }
        }
        if values.is_empty() {
            self.values.remove(key);
        }
    }

    pub(super) fn get(&self, key: &str, value: &str) -> impl Iterator<Item = &T> + use<'_, T> {
        self.values.get(key).and_then(|values| values.get(value)).into_iter().flatten()
    }

    fn count(&self, key: &str, value: &str) -> usize {
        self.values.get(key).and_then(|values| values.get(value)).map_or(0, BTreeSet::len)
    }

    /// The items of the rarest of these pairs: those that have all of the pairs are among them.
    pub(super) fn candidates<'a>(&'a self, pairs: &Labels) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let rarest = self.rarest(pairs);
        rarest.and_then(|(key, value)| self.values.get(key)?.get(value)).into_iter().flatten()
    }

    /// Which of these pairs has the fewest items.
    pub(super) fn rarest<'p>(&self, pairs: &'p Labels) -> Option<(&'p str, &'p str)> {
        pairs.iter().min_by_key(|(key, value)| self.count(key, value))
    }
}
