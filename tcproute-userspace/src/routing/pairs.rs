//! Things found by the tags or labels that they have or ask for.

use std::collections::HashMap;

use crate::resources::Labels;

/// Items by a key and a value.
#[derive(Debug)]
pub(super) struct PairIndex<T> {
    values: HashMap<String, HashMap<String, Vec<T>>>,
}

impl<T> Default for PairIndex<T> {
    fn default() -> Self {
        Self { values: HashMap::new() }
    }
}

impl<T: Copy> PairIndex<T> {
    pub(super) fn insert(&mut self, key: &str, value: &str, item: T) {
        let items = self.values.entry(key.to_owned()).or_default().entry(value.to_owned()).or_default();
        items.push(item);
    }

    pub(super) fn get(&self, key: &str, value: &str) -> &[T] {
        self.values.get(key).and_then(|values| values.get(value)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The items of the rarest of these pairs: those that have all of the pairs are among them.
    pub(super) fn candidates(&self, pairs: &Labels) -> &[T] {
        let items = pairs.iter().map(|(key, value)| self.get(key, value));
        items.min_by_key(|items| items.len()).unwrap_or_default()
    }
}
