//! Runs of a flat array that are shared by all who want the same content.

use std::{hash::Hash, sync::Arc};

use rustc_hash::FxHashMap;

use super::{change::Run, space::Space};

/// The runs of one array, by what stands in them or, for content that is computed, by what from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharedRuns<K: Eq + Hash> {
    space: Space,
    runs: FxHashMap<Arc<[K]>, Used>,
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

impl<K: Eq + Hash> SharedRuns<K> {
    pub(crate) fn new(entries: u32) -> Self {
        Self { space: Space::new(entries), runs: FxHashMap::default() }
    }

    /// The run for this content, and whether it is new and has to be written. `None` if there is no room.
    pub(crate) fn take(&mut self, content: &Arc<[K]>, len: u32) -> Option<(Run, bool)> {
        if let Some(used) = self.runs.get_mut(content) {
            used.users += 1;
            return Some((used.run, false));
        }
        let run = self.space.take(len)?;
        self.runs.insert(Arc::clone(content), Used { run, users: 1 });
        Some((run, len > 0))
    }

    /// The same for content that stands there already. Answers with the content as it is kept.
    pub(crate) fn take_at(&mut self, content: Arc<[K]>, run: Run) -> Result<Arc<[K]>, Clash> {
        if let Some((kept, _)) = self.runs.get_key_value(&content) {
            let kept = Arc::clone(kept);
            return match self.runs.get_mut(&content) {
                Some(used) if used.run == run => {
                    used.users += 1;
                    Ok(kept)
                }
                _ => Err(Clash::Twice),
            };
        }
        if !self.space.take_at(run) {
            return Err(Clash::Overlap);
        }
        self.runs.insert(Arc::clone(&content), Used { run, users: 1 });
        Ok(content)
    }

    /// The run of this content, if it stands anywhere.
    pub(crate) fn get(&self, content: &[K]) -> Option<Run> {
        self.runs.get(content).map(|used| used.run)
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

    /// Has more entries from now on.
    pub(crate) fn grow(&mut self, entries: u32) {
        self.space.grow(entries);
    }

    /// All runs with what stands in them.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Arc<[K]>, Run)> {
        self.runs.iter().map(|(content, used)| (content, used.run))
    }

    pub(crate) fn free_entries(&self) -> u32 {
        self.space.free_entries()
    }
}
