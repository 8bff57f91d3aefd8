//! What is still to be written of each place: the newest, and what of it is only known from what was to be written before. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Entry, Record};

/// What stands for an entry, wherever it is.
type Key = Vec<String>;

/// Keys, and what was said of each; `None` where that is as it was kept last.
type Entries = Vec<(Key, Option<Box<str>>)>;

/// What a place has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Such as the path of a file.
    pub place: String,
    /// Keys, and what was said of each; `None` where that is as it was kept last. A place without any is forgotten.
    pub entries: Vec<(Vec<String>, Option<Box<str>>)>,
}

/// Changes that wait. One of a place takes the place of an earlier one.
#[derive(Debug, Default)]
pub(super) struct Pending {
    changes: BTreeMap<String, Entries>,
}

impl Pending {
    /// Takes changes that belong together: what is in none of them with its value may come from any of those before.
    pub(super) fn add(&mut self, changes: Vec<Change>) {
        let mut before = BTreeMap::new();
        for change in &changes {
            for (key, value) in self.changes.remove(&change.place).into_iter().flatten() {
                if let Some(value) = value {
                    before.insert(key, value);
                }
            }
        }
        for Change { place, mut entries } in changes {
            for (key, value) in &mut entries {
                if value.is_none() {
                    *value = before.get(key).cloned();
                }
            }
            self.changes.insert(place, entries);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The places that are to be written.
    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        self.changes.keys().map(String::as_str)
    }

    /// What is as it was kept last.
    pub(super) fn open(&self) -> BTreeSet<Key> {
        let open = self.changes.values().flatten().filter(|(_, value)| value.is_none());
        open.map(|(key, _)| key.clone()).collect()
    }

    /// Takes what was kept last of what is open. What nobody knows any more is left out.
    pub(super) fn close(&mut self, kept: &BTreeMap<Key, Box<str>>) {
        for entries in self.changes.values_mut() {
            entries.retain_mut(|(key, value)| {
                if value.is_none() {
                    *value = kept.get(key).cloned();
                }
                value.is_some()
            });
        }
    }

    /// What is to be written of one place. To be called when nothing is open.
    pub(super) fn pop(&mut self) -> Option<Record> {
        let (place, entries) = self.changes.pop_first()?;
        let entries = entries.into_iter().filter_map(|(key, value)| Some(Entry { key, value: value? }));
        Some(Record { place, entries: entries.collect() })
    }

    /// This could not be written.
    pub(super) fn put_back(&mut self, Record { place, entries }: Record) {
        let entries = entries.into_iter().map(|Entry { key, value }| (key, Some(value)));
        self.changes.insert(place, entries.collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(place: &str, entries: &[(&str, Option<&str>)]) -> Change {
        let entries = entries.iter().map(|(key, value)| (vec![(*key).to_owned()], value.map(Into::into)));
        Change { place: place.into(), entries: entries.collect() }
    }

    fn shown(mut pending: Pending, kept: &[(&str, &str)]) -> String {
        let kept = kept.iter().map(|(key, value)| (vec![(*key).to_owned()], (*value).into())).collect();
        pending.close(&kept);
        let mut places = Vec::new();
        while let Some(Record { place, entries }) = pending.pop() {
            let entries: Vec<String> =
                entries.iter().map(|entry| format!("{}={}", entry.key[0], entry.value)).collect();
            places.push(format!("{place}: {}", entries.join(" ")));
        }
        places.join("; ")
    }

    #[test]
    fn the_newest_of_a_place_counts_and_what_it_leaves_open_is_as_before() {
        let pending = || {
            let mut pending = Pending::default();
            assert!(pending.is_empty());
            pending
                .add(vec![change("a", &[("x", Some("1")), ("y", Some("1"))]), change("b", &[("z", None)])]);
            pending.add(vec![change("a", &[("x", None), ("y", Some("2")), ("w", None)])]);
            pending
        };
        assert_eq!(pending().open(), [vec!["w".to_owned()], vec!["z".to_owned()]].into());
        assert_eq!(shown(pending(), &[("z", "0"), ("x", "0"), ("w", "0")]), "a: x=1 y=2 w=0; b: z=0");
        assert_eq!(shown(pending(), &[]), "a: x=1 y=2; b: ");
    }

    #[test]
    fn what_moves_to_another_place_is_found_there() {
        let mut pending = Pending::default();
        pending.add(vec![change("a", &[("x", Some("1"))])]);
        pending.add(vec![change("a", &[]), change("b", &[("x", None)])]);
        assert_eq!(shown(pending, &[]), "a: ; b: x=1");
    }

    #[test]
    fn what_could_not_be_written_waits_unless_there_is_something_newer() {
        let mut pending = Pending::default();
        pending.add(vec![change("a", &[("x", Some("1"))])]);
        let record = pending.pop().unwrap();
        assert!(pending.is_empty());
        pending.put_back(record);
        assert_eq!(shown(pending, &[]), "a: x=1");
    }
}
