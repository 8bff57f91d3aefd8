//! Whose name is looked up next: a turn for each who has names that are due, and for each no more at a time than leaves
//! room for others. Pure.

use std::collections::{BTreeMap, VecDeque};

use super::share::Owner;

/// Look-ups that share turns.
#[derive(Debug)]
pub(super) struct Turns {
    at_a_time: AtATime,
    waiting: BTreeMap<Owner, VecDeque<String>>,
    running: usize,
    running_for: BTreeMap<Owner, usize>,
    /// Whose turn was the last.
    last: Option<Owner>,
}

/// How many look-ups there are at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtATime {
    pub(super) all: usize,
    /// For one Dataplane.
    pub(super) each: usize,
}

impl Turns {
    pub(super) const fn new(at_a_time: AtATime) -> Self {
        Self { at_a_time, waiting: BTreeMap::new(), running: 0, running_for: BTreeMap::new(), last: None }
    }

    /// A name is due.
    pub(super) fn push(&mut self, owner: &Owner, name: &str) {
        self.waiting.entry(Owner::clone(owner)).or_default().push_back(name.to_owned());
    }

    /// The name to look up next, if there is a turn for it; it is taken from then on. `is_due` is whether a name still
    /// is: it may have been looked up for another who wants it.
    pub(super) fn next(&mut self, is_due: impl Fn(&str) -> bool) -> Option<(Owner, String)> {
        if self.running >= self.at_a_time.all {
            return None;
        }
        for owner in self.order() {
            if self.running_for.get(&owner).is_some_and(|running| *running >= self.at_a_time.each) {
                continue;
            }
            let waiting = self.waiting.get_mut(&owner)?;
            let name = std::iter::from_fn(|| waiting.pop_front()).find(|name| is_due(name));
            if waiting.is_empty() {
                self.waiting.remove(&owner);
            }
            if let Some(name) = name {
                self.running += 1;
                *self.running_for.entry(Owner::clone(&owner)).or_default() += 1;
                self.last = Some(Owner::clone(&owner));
                return Some((owner, name));
            }
        }
        None
    }

    /// A turn is over.
    pub(super) fn done(&mut self, owner: &Owner) {
        self.running -= 1;
        if let Some(running) = self.running_for.get_mut(owner) {
            *running -= 1;
            if *running == 0 {
                self.running_for.remove(owner);
            }
        }
    }

    /// Those who wait: who comes after the last one first.
    fn order(&self) -> Vec<Owner> {
        let is_later = |owner: &&Owner| self.last.as_ref().is_none_or(|last| *owner > last);
        let later = self.waiting.keys().filter(is_later);
        let earlier = self.waiting.keys().filter(|owner| !is_later(owner));
        later.chain(earlier).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn turns(all: usize, each: usize, names: &[(&str, &str)]) -> Turns {
        let mut turns = Turns::new(AtATime { all, each });
        for (owner, name) in names {
            turns.push(&(*owner).into(), name);
        }
        turns
    }

    fn next(turns: &mut Turns) -> Option<String> {
        turns.next(|_| true).map(|(owner, name)| format!("{owner} {name}"))
    }

    #[test]
    fn each_has_a_turn_and_no_more_than_its_share() {
        let names = [("a", "1"), ("a", "2"), ("a", "3"), ("b", "4"), ("c", "5"), ("c", "6")];
        let mut turns = turns(5, 2, &names);
        let order: Vec<String> = std::iter::from_fn(|| next(&mut turns)).collect();
        assert_eq!(order, ["a 1", "b 4", "c 5", "a 2", "c 6"]);
        turns.done(&"c".into());
        assert_eq!(next(&mut turns), None, "a has all that it may");
        turns.done(&"a".into());
        assert_eq!(next(&mut turns), Some("a 3".to_owned()));
    }

    #[test]
    fn a_name_that_is_not_due_any_more_is_passed_over() {
        let mut turns = turns(9, 9, &[("a", "1"), ("a", "2"), ("b", "1")]);
        assert_eq!(turns.next(|name| name == "2"), Some(("a".into(), "2".to_owned())));
        assert_eq!(turns.next(|_| false), None);
        assert!(turns.waiting.is_empty());
    }

    proptest! {
        /// However many names others have: who comes with one waits for no more turns to end than there are others.
        #[test]
        fn nobody_waits_for_more_than_a_turn_of_each(counts in vec(1usize..200, 1..6)) {
            let mut turns = Turns::new(AtATime { all: 8, each: 3 });
            for (owner, count) in counts.iter().enumerate() {
                for name in 0..*count {
                    turns.push(&format!("o{owner}").into(), &name.to_string());
                }
            }
            let mut running: VecDeque<Owner> = VecDeque::new();
            running.extend(std::iter::from_fn(|| turns.next(|_| true)).map(|(owner, _)| owner));
            prop_assert!(running.len() <= 8);
            turns.push(&"new".into(), "x");
            for _ in 0..=counts.len() {
                if let Some((owner, _)) = turns.next(|_| true) {
                    if &*owner == "new" {
                        return Ok(());
                    }
                    running.push_back(owner);
                }
                if let Some(owner) = running.pop_front() {
                    turns.done(&owner);
                }
            }
            let last = std::iter::from_fn(|| turns.next(|_| true)).any(|(owner, _)| &*owner == "new");
            prop_assert!(last);
        }
    }
}
