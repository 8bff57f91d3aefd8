//! The free runs of a flat array.

use std::collections::BTreeMap;

use super::change::Run;

/// First fit over the free runs of an array. Neighbouring free runs are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Space {
    free: BTreeMap<u32, u32>,
    entries: u32,
}

impl Space {
    pub(crate) fn new(entries: u32) -> Self {
        Self { free: BTreeMap::from([(0, entries)]), entries }
    }

    /// Has more entries from now on.
    pub(crate) fn grow(&mut self, entries: u32) {
        let more = entries.saturating_sub(self.entries);
        self.give_back(Run { first: self.entries, len: more });
        self.entries += more;
    }

    /// `None` if no free run is long enough. A run of length 0 needs no space.
    pub(crate) fn take(&mut self, len: u32) -> Option<Run> {
        if len == 0 {
            return Some(Run { first: 0, len: 0 });
        }
        let (&first, &free) = self.free.iter().find(|&(_, &free)| free >= len)?;
        self.free.remove(&first);
        if free > len {
            self.free.insert(first + len, free - len);
        }
        Some(Run { first, len })
    }

    /// Takes this very run. `false` if it is not free.
    pub(crate) fn take_at(&mut self, run: Run) -> bool {
        if run.len == 0 {
            return true;
        }
        let before = self.free.range(..=run.first).next_back().map(|(&first, &len)| (first, len));
        let Some((first, len)) = before else { return false };
        let (end, free_end) = (u64::from(run.first) + u64::from(run.len), u64::from(first) + u64::from(len));
        if end > free_end {
            return false;
        }
        self.free.remove(&first);
        self.give_back(Run { first, len: run.first - first });
        self.give_back(Run { first: run.first + run.len, len: (free_end - end) as u32 });
        true
    }

    pub(crate) fn give_back(&mut self, run: Run) {
        let Run { mut first, mut len } = run;
        if len == 0 {
            return;
        }
        if let Some(next) = self.free.remove(&(first + len)) {
            len += next;
        }
        if let Some((&before, &before_len)) = self.free.range(..first).next_back()
            && before + before_len == first
        {
            self.free.remove(&before);
            first = before;
            len += before_len;
        }
        self.free.insert(first, len);
    }

    pub(crate) fn free_entries(&self) -> u32 {
        self.free.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn too_long_a_run_is_refused() {
        let mut space = Space::new(4);
        assert!(space.take(3).is_some());
        assert_eq!(space.take(2), None);
        assert_eq!(space.take(1), Some(Run { first: 3, len: 1 }));
    }

    proptest! {
        #[test]
        fn runs_never_overlap_and_all_space_comes_back(
            steps in proptest::collection::vec((any::<bool>(), 0_u32..20, any::<prop::sample::Index>()), 0..200)
        ) {
            let mut space = Space::new(100);
            let mut taken: Vec<Run> = Vec::new();
            for (take, len, which) in steps {
                if take {
                    let at = Run { first: which.index(120) as u32, len };
                    let run = if len % 2 == 0 { space.take(len) } else { space.take_at(at).then_some(at) };
                    if let Some(run) = run {
                        for other in &taken {
                            let apart = run.first + run.len <= other.first || other.first + other.len <= run.first;
                            prop_assert!(apart || run.len == 0 || other.len == 0);
                        }
                        taken.push(run);
                    }
                } else if !taken.is_empty() {
                    space.give_back(taken.swap_remove(which.index(taken.len())));
                }
            }
            for run in taken {
                space.give_back(run);
            }
            prop_assert_eq!(space.free_entries(), 100);
            prop_assert_eq!(space.take(100), Some(Run { first: 0, len: 100 }));
        }
    }
}
