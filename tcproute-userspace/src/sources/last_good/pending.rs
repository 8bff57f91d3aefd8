//! What is still to be written of each place: the newest, and what of it is only known from what was to be written
//! before. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::lines::{Key, Lines, keys};

/// What a place has now. A place without anything is forgotten.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Such as the path of a file.
    pub place: String,
    /// What was said.
    pub lines: Lines,
    /// What is as it was kept last.
    pub open: Vec<Key>,
}

#[cfg(test)]
impl Change {
    /// What the next daemon reads of it, if nothing is open.
    pub fn into_record(self) -> super::Record {
        let text = super::record::header(&self.place, &self.lines) + &self.lines.text();
        super::Record::decode(text.as_bytes()).0.expect("it is whole")
    }
}

/// Changes that wait. One of a place takes the place of an earlier one.
#[derive(Debug, Default)]
pub(super) struct Pending {
    changes: BTreeMap<String, Change>,
}

impl Pending {
    /// Takes changes that belong together: what is open in one of them may be from any of those before.
    pub(super) fn add(&mut self, changes: Vec<Change>) {
        let before: Vec<Change> =
            changes.iter().filter_map(|change| self.changes.remove(&change.place)).collect();
        for change in changes {
            self.changes.insert(change.place.clone(), change);
        }
        for Change { lines, .. } in before {
            // What is packed can be unpacked.
            lines.pieces().flatten().for_each(|piece| self.find(&piece));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The places that are to be written.
    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        self.changes.keys().map(String::as_str)
    }

    /// Whether anything is as it was kept last.
    pub(super) fn is_open(&self) -> bool {
        self.changes.values().any(|change| !change.open.is_empty())
    }

    /// Takes what is open and in these lines.
    pub(super) fn find(&mut self, lines: &str) {
        if !self.is_open() {
            return;
        }
        let open: BTreeSet<Key> = self.changes.values().flat_map(|change| &change.open).cloned().collect();
        let found: BTreeMap<Key, &str> = keys(lines).filter(|(key, _)| open.contains(key)).collect();
        for change in self.changes.values_mut() {
            change.open.retain(|key| match found.get(key) {
                Some(line) => {
                    change.lines.push(line);
                    false
                }
                None => true,
            });
        }
    }

    /// What is to be written of one place.
    pub(super) fn pop(&mut self) -> Option<Change> {
        self.changes.pop_first().map(|(_, change)| change)
    }

    /// This could not be written.
    pub(super) fn put_back(&mut self, change: Change) {
        self.changes.insert(change.place.clone(), change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        vec![name.to_owned()]
    }

    fn lines(entries: &[(&str, &str)]) -> Lines {
        let mut lines = Lines::default();
        for (name, value) in entries {
            lines.add(&key(name), value);
        }
        lines
    }

    fn change(place: &str, entries: &[(&str, &str)], open: &[&str]) -> Change {
        Change {
            place: place.into(),
            lines: lines(entries),
            open: open.iter().map(|name| key(name)).collect(),
        }
    }

    fn shown(mut pending: Pending, kept: &[(&str, &str)]) -> String {
        pending.find(&lines(kept).text());
        let mut places = Vec::new();
        while let Some(Change { place, lines, .. }) = pending.pop() {
            let values = |line: &str| line.rsplit_once(',').unwrap().1.replace("]\n", "");
            let entries: Vec<String> =
                keys(&lines.text()).map(|(key, line)| format!("{}={}", key[0], values(line))).collect();
            places.push(format!("{place}: {}", entries.join(" ")));
        }
        places.join("; ")
    }

    #[test]
    fn the_newest_of_a_place_counts_and_what_it_leaves_open_is_as_before() {
        let pending = || {
            let mut pending = Pending::default();
            assert!(pending.is_empty() && !pending.is_open());
            pending.add(vec![change("a", &[("x", "1"), ("y", "1")], &[]), change("b", &[], &["z"])]);
            pending.add(vec![change("a", &[("y", "2")], &["x", "w"])]);
            assert!(pending.is_open());
            assert_eq!(pending.places().collect::<Vec<_>>(), ["a", "b"]);
            pending
        };
        assert_eq!(shown(pending(), &[("z", "0"), ("x", "0"), ("w", "0")]), "a: y=2 x=1 w=0; b: z=0");
        assert_eq!(shown(pending(), &[]), "a: y=2 x=1; b: ");
    }

    #[test]
    fn what_moves_to_another_place_is_found_there() {
        let mut pending = Pending::default();
        pending.add(vec![change("a", &[("x", "1")], &[])]);
        pending.add(vec![change("a", &[], &[]), change("b", &[], &["x"])]);
        assert_eq!(shown(pending, &[]), "a: ; b: x=1");
    }

    #[test]
    fn what_could_not_be_written_waits_unless_there_is_something_newer() {
        let mut pending = Pending::default();
        pending.add(vec![change("a", &[("x", "1")], &[])]);
        let change = pending.pop().unwrap();
        assert!(pending.is_empty());
        pending.put_back(change);
        assert_eq!(shown(pending, &[]), "a: x=1");
    }
}
