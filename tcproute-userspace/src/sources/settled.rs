//! Files that others may be writing while they are read.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    InputErrors,
    files::{self, FileStamp, Stamp},
    limits::SETTLE,
    load,
};
use crate::resources::Resources;

/// How often files are looked at that were just changed.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A tick of the slowest clock (`CONFIG_HZ=100`), by which files are stamped before 6.13, and a little more.
const TICK: Duration = Duration::from_millis(12);

/// So long files are read again that change all the time: longer than one that is empty is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads files as they stood at one moment.
#[derive(Debug)]
pub struct SettledFiles {
    paths: Vec<PathBuf>,
    empty: Empty,
}

/// The empty files, and since when each was seen to be so.
#[derive(Debug, Default)]
struct Empty(BTreeMap<Stamp, Instant>);

impl SettledFiles {
    /// Of these files and directories.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, empty: Empty::default() }
    }

    /// As [`load`]. What is answered is no mix of some files before and some after a change, and no file of which a writer
    /// has not got further than to truncate it.
    pub fn load(&mut self) -> Result<Resources, InputErrors> {
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            let before = files::stamps(&self.paths);
            self.empty.see(&before, Instant::now());
            if self.empty.are_new(Instant::now()) || before.iter().any(|s| is_fresh(s, SystemTime::now())) {
                thread::sleep(LOOK_AGAIN);
                continue;
            }
            let loaded = load(&self.paths);
            if files::stamps(&self.paths) == before {
                return loaded;
            }
        }
        load(&self.paths)
    }
}

impl Empty {
    fn see(&mut self, stamps: &[Stamp], now: Instant) {
        let is_empty = |stamp: &&Stamp| stamp.file.is_some_and(|file| file.size == 0);
        let since = |stamp: &Stamp| self.0.get(stamp).copied().unwrap_or(now);
        self.0 = stamps.iter().filter(is_empty).map(|stamp| (stamp.clone(), since(stamp))).collect();
    }

    /// Whether there is one that may still be written. Somebody who writes in place truncates first, and a file without a
    /// document is valid, so that nothing else would tell.
    ///
    /// The time of change does not tell either: it is set when the truncation is done, and the size may be seen before
    /// (ext4).
    fn are_new(&self, now: Instant) -> bool {
        self.0.values().any(|&since| now.duration_since(since) < SETTLE)
    }
}

/// Whether a later change may leave the stamp as it is: changes within one tick of the clock have the same time.
fn is_fresh(stamp: &Stamp, now: SystemTime) -> bool {
    let Some(FileStamp { changed: (seconds, nanoseconds), .. }) = stamp.file else { return false };
    let since = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok());
    let since = since.map(|(seconds, nanoseconds)| UNIX_EPOCH + Duration::new(seconds, nanoseconds));
    let age = since.and_then(|since| now.duration_since(since).ok());
    age.is_some_and(|age| age < TICK)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn stamp(size: u64, seconds: i64) -> Stamp {
        let file = FileStamp { device: 1, inode: 2, size, changed: (seconds, 0) };
        Stamp { path: "x".into(), file: Some(file) }
    }

    #[test]
    fn a_file_is_fresh_for_a_tick() {
        let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        assert!(is_fresh(&stamp(1, 100), at(100_010)));
        assert!(!is_fresh(&stamp(1, 100), at(100_012)));
        assert!(!is_fresh(&stamp(1, 100), at(99_000)), "by a clock that was set back");
        assert!(!is_fresh(&Stamp { path: "x".into(), file: None }, at(100_000)));
    }

    #[test]
    fn an_empty_file_is_waited_for_once_whenever_it_was_changed() {
        let mut empty = Empty::default();
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        empty.see(&[stamp(0, 100)], at(0));
        assert!(empty.are_new(at(499)) && !empty.are_new(at(500)));
        empty.see(&[stamp(0, 100)], at(900));
        assert!(!empty.are_new(at(900)));
        // Truncated again.
        empty.see(&[stamp(0, 101)], at(1000));
        assert!(empty.are_new(at(1499)) && !empty.are_new(at(1500)));
        empty.see(&[stamp(7, 102)], at(2000));
        assert!(!empty.are_new(at(2000)));
    }

    #[test]
    fn what_is_read_is_what_was_written_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        fs::write(&path, "type: Mesh\nname: a\n").unwrap();
        let mut files = SettledFiles::new(vec![path.clone()]);
        fs::write(&path, "").unwrap();
        let writer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            fs::write(&path, "type: Mesh\nname: b\n").unwrap();
        });
        let read = format!("{:?}", files.load().unwrap());
        assert!(read.contains("\"b\""), "{read}");
        writer.join().unwrap();
    }
}
