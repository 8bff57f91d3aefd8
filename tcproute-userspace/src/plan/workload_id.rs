//! The numbers by which the maps know workloads.

use std::{collections::BTreeSet, num::NonZeroU32};

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
#[derive(Debug, Clone, Default)]
pub struct WorkloadIds {
    taken: BTreeSet<WorkloadId>,
    /// Those that are free below the first that no workload has ever had.
    free: BTreeSet<WorkloadId>,
    /// How many numbers are taken or free.
    known: u32,
}

impl WorkloadIds {
    /// Takes this number. `false` if it is taken already.
    pub fn keep(&mut self, id: WorkloadId) -> bool {
        while self.known < id.get() {
            self.make_known();
        }
        self.free.remove(&id) && self.taken.insert(id)
    }

    /// Takes the smallest number that is free.
    pub fn take(&mut self) -> WorkloadId {
        if self.free.is_empty() {
            self.make_known();
        }
        let id = self.free.pop_first().expect("one was made known if there was none");
        self.taken.insert(id);
        id
    }

    /// Gives a number back.
    pub fn give_back(&mut self, id: WorkloadId) {
        if self.taken.remove(&id) {
            self.free.insert(id);
        }
    }

    fn make_known(&mut self) {
        self.known = self.known.checked_add(1).expect("memory ends before 2^32 workloads");
        self.free.extend(WorkloadId::new(self.known));
    }
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
}
