//! Files that others may be writing while they are read.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    super::{
        alike::Alike,
        documents::{Rules, limits},
        last_good::{Change, Record},
        snapshot::{Bytes, Health, Snapshot},
    },
    content::{FileContent, Patience},
    earlier,
    list::{FileStamp, Look, Nothing, Place, Stamp, State, look},
    store::Store,
};

/// So long a file that has become empty is taken for one whose new content is still to be written. Whoever writes
/// longer is not waited for.
const SETTLE: Duration = Duration::from_millis(500);

/// How often files are looked at that were just changed.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A tick of the slowest clock (`CONFIG_HZ=100`), by which files are stamped before 6.13, and a little more.
const TICK: Duration = Duration::from_millis(12);

/// So long files are read again that change all the time: longer than one that is empty is waited for.
const RESTLESS: Duration = Duration::from_secs(1);

/// Reads files as they stood at one moment, and those only that have changed.
#[derive(Debug)]
pub(super) struct SettledFiles {
    paths: Vec<PathBuf>,
    rules: Rules,
    patience: Patience,
    unfinished: Unfinished,
    store: Store,
    last: Snapshot,
    /// The named paths that have led to a file since the start. Of the others it is not known whether they are empty or
    /// away.
    answered: BTreeSet<usize>,
    /// How many bytes all files together may have.
    pub(super) most: u64,
    /// How many files were read.
    pub(super) read: usize,
}

/// What was read, and in which state.
type Fresh = BTreeMap<Place, (State, FileContent)>;

impl SettledFiles {
    /// Of these files and directories.
    pub(super) fn new(paths: Vec<PathBuf>, rules: Rules) -> Self {
        let (unfinished, store, last) = (Unfinished::default(), Store::default(), Snapshot::default());
        let (patience, answered, most) = (Patience::None, BTreeSet::new(), limits::ALL_FILES);
        Self { paths, rules, patience, unfinished, store, last, answered, most, read: 0 }
    }

    /// Begins with what an earlier daemon has read, which stays until it is read anew or known to be gone.
    pub(super) fn begin_with(&mut self, records: Vec<Record>) -> Snapshot {
        let mut alike = Alike::default();
        for record in records {
            if let Some((place, held)) = earlier::held(&record, &self.paths, &self.rules, &mut alike) {
                self.store.seed(place, held);
            }
        }
        self.last = self.store.snapshot(&Snapshot::default(), SystemTime::now());
        Snapshot { health: Health::Awaited, ..self.last.clone() }
    }

    /// How much is as an earlier daemon has read it.
    pub(super) fn stale(&self) -> usize {
        self.store.stale()
    }

    /// What is to be kept of files that have changed since this was asked last.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        self.store.take_changes()
    }

    /// What is in the files. That is no mix of some files before and some after a change, no file that is being
    /// written, as far as that is known, and none of which a writer has not got further than to truncate it.
    pub(super) fn load(&mut self, is_written: &dyn Fn(&Path) -> bool) -> Snapshot {
        let asked = Instant::now();
        let mut fresh = Fresh::new();
        while asked.elapsed() < RESTLESS {
            let before = self.look(is_written);
            self.unfinished.see(&before, &self.store.named(), Instant::now());
            let is_fresh = |stamp: &Stamp| is_fresh(stamp.state, SystemTime::now());
            if self.unfinished.are_new(Instant::now()) || before.files.iter().any(is_fresh) {
                thread::sleep(LOOK_AGAIN);
                continue;
            }
            self.read(&before, &mut fresh);
            if self.look(is_written) == before {
                return self.take(before, fresh);
            }
        }
        let last = self.look(is_written);
        self.read(&last, &mut fresh);
        self.take(last, fresh)
    }

    /// What is seen of the files. Those that are being written are as they were read last.
    fn look(&self, is_written: &dyn Fn(&Path) -> bool) -> Look {
        let mut look = look(&self.paths);
        for nothing in look.nothing.iter_mut().filter(|nothing| !self.answered.contains(&nothing.named)) {
            // After a reboot it may not be mounted yet. If nothing was kept of it, there is nothing to be lost.
            nothing.certain = false;
        }
        look.files.retain_mut(|Stamp { place, state }| {
            if self.store.has(place, *state) || !is_written(&place.path) {
                return true;
            }
            let before = self.store.state(place);
            *state = before.unwrap_or(*state);
            before.is_some()
        });
        look
    }

    /// What is in the files at present, whoever may be writing them, as far as it goes.
    pub(super) fn load_now(mut self) -> Store {
        self.patience = Patience::Endless;
        let look = look(&self.paths);
        let mut fresh = Fresh::new();
        self.read(&look, &mut fresh);
        for (place, (_, content)) in &mut fresh {
            content.up_to_its_fault(&place.path);
        }
        self.take(look, fresh);
        self.store
    }

    /// Reads what has changed.
    fn read(&mut self, look: &Look, fresh: &mut Fresh) {
        let mut alike = Alike::default();
        let is_read = |fresh: &Fresh, Stamp { place, state }: &Stamp| {
            let was_read = |(before, content): &(State, FileContent)| before == state && content.is_reached();
            self.store.has(place, *state) || fresh.get(place).is_some_and(was_read)
        };
        // What is known already keeps its room, whatever comes.
        let known = look.files.iter().filter(|stamp| is_read(fresh, stamp));
        let mut weight: u64 = known.map(|stamp| stamp.state.weight()).sum();
        for stamp in &look.files {
            let Stamp { place, state } = stamp;
            if is_read(fresh, stamp) {
                continue;
            }
            let content = if weight + state.weight() > self.most {
                FileContent::beyond(&place.path, self.most)
            } else {
                weight += state.weight();
                self.read += 1;
                let before = self.store.good(place).map(|good| &*good.held).unwrap_or_default();
                FileContent::read(&place.path, self.patience, &self.rules, before, &mut alike)
            };
            fresh.insert(place.clone(), (*state, content));
        }
    }

    fn take(&mut self, look: Look, fresh: Fresh) -> Snapshot {
        self.answered.extend(look.files.iter().map(|stamp| stamp.place.named));
        let places: BTreeSet<&Place> = look.files.iter().map(|stamp| &stamp.place).collect();
        // First those that come: what has only moved to another file is there all the time.
        for (place, (state, content)) in fresh {
            if places.contains(&place) {
                self.store.put(&place, state, content);
            }
        }
        self.store.keep(&places, look.nothing);
        self.store.follow_moved(&self.last.resources);
        let mut last = self.store.snapshot(&self.last, SystemTime::now());
        last.bytes = Some(Bytes { read: self.store.weight(), most: self.most });
        self.last = last.clone();
        last
    }
}

/// What somebody may be about to write, and since when each was seen to be so.
#[derive(Debug, Default)]
struct Unfinished {
    /// Files without any content.
    empty: BTreeMap<Stamp, Instant>,
    /// Named paths that led to files and lead to nothing.
    gone: BTreeMap<usize, Instant>,
}

impl Unfinished {
    /// `named` are the paths that led to files when they were read last.
    fn see(&mut self, look: &Look, named: &BTreeSet<usize>, now: Instant) {
        let is_empty = |stamp: &&Stamp| matches!(stamp.state, State::There(FileStamp { size: 0, .. }));
        let before = mem::take(&mut self.empty);
        let since = |stamp: &Stamp| before.get(stamp).copied().unwrap_or(now);
        self.empty = look.files.iter().filter(is_empty).map(|stamp| (stamp.clone(), since(stamp))).collect();
        let is_gone = |nothing: &&Nothing| nothing.certain && named.contains(&nothing.named);
        let before = mem::take(&mut self.gone);
        let since = |named| before.get(&named).copied().unwrap_or(now);
        self.gone = look.nothing.iter().filter(is_gone).map(|it| (it.named, since(it.named))).collect();
    }

    /// Whether there is one that may still be written. Somebody who writes in place truncates first, and a file without
    /// a document is valid, so that nothing else would tell. Others remove a file and write it anew.
    ///
    /// The time of change does not tell either: it is set when the truncation is done, and the size may be seen before
    /// (ext4).
    fn are_new(&self, now: Instant) -> bool {
        self.empty.values().chain(self.gone.values()).any(|&since| now.duration_since(since) < SETTLE)
    }
}

/// Whether a later change may leave the stamp as it is: changes within one tick of the clock have the same time.
fn is_fresh(state: State, now: SystemTime) -> bool {
    let State::There(FileStamp { changed: (seconds, nanoseconds), .. }) = state else { return false };
    let since = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok());
    let since = since.map(|(seconds, nanoseconds)| UNIX_EPOCH + Duration::new(seconds, nanoseconds));
    let age = since.and_then(|since| now.duration_since(since).ok());
    age.is_some_and(|age| age < TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(size: u64, seconds: i64) -> Stamp {
        let file = FileStamp { device: 1, inode: 2, size, changed: (seconds, 0) };
        Stamp { place: Place { named: 0, path: "x".into() }, state: State::There(file) }
    }

    fn look_of(stamp: Stamp) -> Look {
        Look { files: vec![stamp], nothing: Vec::new() }
    }

    #[test]
    fn a_file_is_fresh_for_a_tick() {
        let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        let state = stamp(1, 100).state;
        assert!(is_fresh(state, at(100_010)));
        assert!(!is_fresh(state, at(100_012)));
        assert!(!is_fresh(state, at(99_000)), "by a clock that was set back");
        assert!(!is_fresh(State::Gone, at(100_000)));
    }

    #[test]
    fn an_empty_file_is_waited_for_once_whenever_it_was_changed() {
        let mut unfinished = Unfinished::default();
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let named = BTreeSet::new();
        unfinished.see(&look_of(stamp(0, 100)), &named, at(0));
        assert!(unfinished.are_new(at(499)) && !unfinished.are_new(at(500)));
        unfinished.see(&look_of(stamp(0, 100)), &named, at(900));
        assert!(!unfinished.are_new(at(900)));
        // Truncated again.
        unfinished.see(&look_of(stamp(0, 101)), &named, at(1000));
        assert!(unfinished.are_new(at(1499)) && !unfinished.are_new(at(1500)));
        unfinished.see(&look_of(stamp(7, 102)), &named, at(2000));
        assert!(!unfinished.are_new(at(2000)));
    }

    #[test]
    fn a_named_file_that_vanishes_is_waited_for_once() {
        let mut unfinished = Unfinished::default();
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let look = look(&["/nonexistent".into()]);
        unfinished.see(&look, &BTreeSet::new(), at(0));
        assert!(!unfinished.are_new(at(0)), "it has never been there");
        unfinished.see(&look, &[0].into(), at(0));
        assert!(unfinished.are_new(at(499)) && !unfinished.are_new(at(500)));
    }
}
