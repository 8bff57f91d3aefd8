//! The numbers by which the maps know workloads.

use std::{collections::BTreeSet, num::NonZeroU32};

use super::{change::Run, space::Space};

/// The number by which the maps know a workload of this node. 0 stands for "not a workload".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId(NonZeroU32);

impl WorkloadId {
    /// As the maps hold it; `None` for 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// As the maps hold it.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// Which numbers are taken. The smallest that is free is given out next.
#[derive(Debug, Clone)]
pub struct WorkloadIds {
    taken: BTreeSet<WorkloadId>,
    /// By runs: numbers that come out of a map may be any. What stands at 0 is the number 1.
    free: Space,
}

impl Default for WorkloadIds {
    fn default() -> Self {
        Self { taken: BTreeSet::new(), free: Space::new(u32::MAX) }
    }
}

impl WorkloadIds {
    /// Takes this number. `false` if it is taken already.
    pub fn keep(&mut self, id: WorkloadId) -> bool {
        self.free.take_at(place(id)) && self.taken.insert(id)
    }

    /// Takes the smallest number that is free.
    pub fn take(&mut self) -> WorkloadId {
        let place = self.free.take(1).expect("memory ends before 2^32 workloads");
        let id = WorkloadId(NonZeroU32::MIN.saturating_add(place.first));
        self.taken.insert(id);
        id
    }

    /// Gives a number back.
    pub fn give_back(&mut self, id: WorkloadId) {
        if self.taken.remove(&id) {
            self.free.give_back(place(id));
        }
    }
}

const fn place(id: WorkloadId) -> Run {
    Run { first: id.get() - 1, len: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> WorkloadId {
        WorkloadId::new(number).unwrap()
    }

    #[test]
    fn numbers_are_kept_once_and_the_smallest_free_one_is_next() {
        let mut ids = WorkloadIds::default();
        assert!(ids.keep(id(3)) && !ids.keep(id(3)));
        assert_eq!([ids.take(), ids.take(), ids.take()], [1, 2, 4].map(id));
        ids.give_back(id(2));
        assert!(!ids.keep(id(1)));
        assert_eq!([ids.take(), ids.take()], [2, 5].map(id));
    }

    #[test]
    fn numbers_that_nobody_has_given_out_cost_nothing() {
        let mut ids = WorkloadIds::default();
        assert!([u32::MAX, u32::MAX - 1, 1 << 31].into_iter().all(|number| ids.keep(id(number))));
        assert!(!ids.keep(id(u32::MAX)));
        assert_eq!(ids.take(), id(1));
        ids.give_back(id(u32::MAX));
        assert!(ids.keep(id(u32::MAX)));
    }
}
