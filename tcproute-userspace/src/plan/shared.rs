//! Runs of a flat array that are shared by all who want the same content.

use std::collections::BTreeMap;

use super::{change::Run, space::Space};

/// The runs of one array, by what stands in them or, for content that is computed, by what from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharedRuns<K> {
    space: Space,
    runs: BTreeMap<Vec<K>, Used>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Used {
    run: Run,
    users: usize,
}

/// Why a run cannot stand where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clash {
    /// Its content is there twice.
    Twice,
    /// It has entries of another run.
    Overlap,
}

impl<K: Ord + Clone> SharedRuns<K> {
    pub(crate) fn new(entries: u32) -> Self {
        Self { space: Space::new(entries), runs: BTreeMap::new() }
    }

    /// The run for this content, and whether it is new and has to be written. `None` if there is no room.
    pub(crate) fn take(&mut self, content: &[K], len: u32) -> Option<(Run, bool)> {
        if let Some(used) = self.runs.get_mut(content) {
            used.users += 1;
            return Some((used.run, false));
        }
        let run = self.space.take(len)?;
        self.runs.insert(content.to_vec(), Used { run, users: 1 });
        Some((run, len > 0))
    }

    /// The same for content that stands there already.
    pub(crate) fn take_at(&mut self, content: &[K], run: Run) -> Result<(), Clash> {
        match self.runs.get_mut(content) {
            Some(used) if used.run == run => used.users += 1,
            Some(_) => return Err(Clash::Twice),
            None if self.space.take_at(run) => {
                self.runs.insert(content.to_vec(), Used { run, users: 1 });
            }
            None => return Err(Clash::Overlap),
        }
        Ok(())
    }

    /// One user less. The run, if that was the last: it may still be read, and so counts as taken.
    pub(crate) fn leave(&mut self, content: &[K]) -> Option<Run> {
        let used = self.runs.get_mut(content)?;
        used.users -= 1;
        if used.users > 0 {
            return None;
        }
        let run = used.run;
        self.runs.remove(content);
        (run.len > 0).then_some(run)
    }

    /// Gives a run back that nobody reads any more.
    pub(crate) fn give_back(&mut self, run: Run) {
        self.space.give_back(run);
    }

    pub(crate) fn free_entries(&self) -> u32 {
        self.space.free_entries()
    }
}
