//! What is different in two maps of resources.

use std::sync::Arc;

use imbl::{OrdMap, ordmap::DiffItem};

pub(super) type Change<K, T> = (K, Option<Arc<T>>, Option<Arc<T>>);

/// What is different; what they share is passed over.
pub(super) fn changes<K: Ord + Clone, T: Eq>(
    old: &OrdMap<K, Arc<T>>,
    new: &OrdMap<K, Arc<T>>,
) -> Vec<Change<K, T>> {
    let change = |item| match item {
        DiffItem::Add(key, after) => (K::clone(key), None, Some(Arc::clone(after))),
        DiffItem::Update { old: (key, before), new: (_, after) } => {
            (key.clone(), Some(Arc::clone(before)), Some(Arc::clone(after)))
        }
        DiffItem::Remove(key, before) => (key.clone(), Some(Arc::clone(before)), None),
    };
    old.diff(new).map(change).collect()
}
