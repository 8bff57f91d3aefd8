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
pub struct WorkloadIds(BTreeSet<WorkloadId>);

impl WorkloadIds {
    /// Takes a number that a workload has already. `false` if another one has it.
    pub fn keep(&mut self, id: WorkloadId) -> bool {
        self.0.insert(id)
    }

    /// Takes the smallest number that is neither taken nor `used` otherwise.
    pub fn take(&mut self, used: &BTreeSet<WorkloadId>) -> WorkloadId {
        let mut free = (1..=u32::MAX).filter_map(WorkloadId::new);
        let free = free.find(|id| !self.0.contains(id) && !used.contains(id));
        let id = free.expect("memory ends before 2^32 workloads");
        self.0.insert(id);
        id
    }

    /// Gives a number back.
    pub fn give_back(&mut self, id: WorkloadId) {
        self.0.remove(&id);
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
        let used = BTreeSet::from([id(1)]);
        assert_eq!([ids.take(&used), ids.take(&used), ids.take(&used)], [2, 4, 5].map(id));
        ids.give_back(id(4));
        assert_eq!([ids.take(&used), ids.take(&BTreeSet::new())], [4, 1].map(id));
    }
}
