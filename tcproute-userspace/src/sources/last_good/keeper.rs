//! Writes what is to be kept, on a thread of its own: changes wait for no disk.

use std::{
    future,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::sync::watch;
use tracing::{error, info};

use super::{
    MOST,
    directory::SourceDirectory,
    pending::{Change, Pending},
};

/// How often what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keeping {
    /// What is kept, in bytes, and may be.
    pub bytes: (u64, u64),
    /// Whether everything is kept that was to be.
    pub whole: bool,
    /// Why not.
    pub error: Option<String>,
}

/// Takes what is to be kept. With the last of them ends the thread, when all is written that can be.
#[derive(Debug)]
pub struct Keeper {
    /// `None` if nothing can be kept.
    changes: Option<Sender<Vec<Change>>>,
    /// How often something was sent there.
    sent: u64,
    keeping: watch::Receiver<Written>,
}

/// How it went with what was sent first.
#[derive(Debug, Default)]
struct Written {
    taken: u64,
    keeping: Keeping,
}

impl Keeper {
    /// Keeps nothing, and tells why.
    pub(super) fn none(why: String) -> Self {
        let keeping = Keeping { bytes: (0, MOST), whole: false, error: Some(why) };
        Self { changes: None, sent: 0, keeping: watch::channel(Written { taken: 0, keeping }).1 }
    }

    pub(super) fn start(directory: SourceDirectory) -> Result<Self> {
        let (changes, receiver) = mpsc::channel();
        let now = Keeping { bytes: (directory.bytes(), MOST), whole: true, error: None };
        let (told, keeping) = watch::channel(Written { taken: 0, keeping: now });
        let writer = Writer { directory, pending: Pending::default(), taken: 0, told };
        let thread = thread::Builder::new().name("state-dir".to_owned());
        thread.spawn(move || writer.serve(&receiver)).context("cannot start a thread")?;
        Ok(Self { changes: Some(changes), sent: 0, keeping })
    }

    /// Whether anything can be kept.
    pub const fn keeps(&self) -> bool {
        self.changes.is_some()
    }

    /// Keeps what these places have. What moves from one to another is in both.
    pub fn keep(&mut self, changes: Vec<Change>) {
        if let (Some(thread), false) = (&self.changes, changes.is_empty()) {
            self.sent += 1;
            // It ends after this only.
            let _ = thread.send(changes);
        }
    }

    /// How it goes.
    pub fn keeping(&self) -> Keeping {
        let Written { taken, keeping } = &*self.keeping.borrow();
        Keeping { whole: keeping.whole && *taken == self.sent, ..keeping.clone() }
    }

    /// Waits until it goes otherwise.
    pub async fn changed(&mut self) -> Keeping {
        if self.keeping.changed().await.is_err() {
            return future::pending().await;
        }
        self.keeping.mark_unchanged();
        self.keeping()
    }
}

struct Writer {
    directory: SourceDirectory,
    pending: Pending,
    /// How often something was sent here.
    taken: u64,
    told: watch::Sender<Written>,
}

impl Writer {
    fn serve(mut self, changes: &Receiver<Vec<Change>>) {
        let mut goes_on = true;
        while goes_on {
            let next = if self.pending.is_empty() {
                changes.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                changes.recv_timeout(RETRY)
            };
            match next {
                Ok(next) => self.take(next),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => goes_on = false,
            }
            for more in changes.try_iter() {
                self.take(more);
            }
            if !self.pending.is_empty() {
                let error = self.write().err().map(|error| format!("{error:#}"));
                self.tell(error);
            }
        }
    }

    fn take(&mut self, changes: Vec<Change>) {
        self.taken += 1;
        self.pending.add(changes);
    }

    /// Writes what it can, and tells the first that it cannot.
    fn write(&mut self) -> Result<()> {
        let mut first = self.find_open();
        let is_all_known = first.is_ok();
        let mut failed = Vec::new();
        while let Some(change) = self.pending.pop() {
            // It may be in what cannot be read at present.
            if !change.open.is_empty() && !is_all_known {
                failed.push(change);
            } else if let Err(error) = self.directory.write(&change.place, &change.lines) {
                first = first.and(Err(error));
                failed.push(change);
            }
        }
        for change in failed {
            self.pending.put_back(change);
        }
        first.and(self.directory.sync())
    }

    /// Looks for what is as it was kept last. What is nowhere nobody knows any more.
    fn find_open(&mut self) -> Result<()> {
        let mut first = Ok(());
        if self.pending.is_open() {
            let places: Vec<String> = self.pending.places().map(str::to_owned).collect();
            for place in places {
                match self.directory.text(&place) {
                    Ok(text) => self.pending.find(&text),
                    Err(error) => first = first.and(Err(error)),
                }
            }
        }
        first
    }

    fn tell(&self, error: Option<String>) {
        let before = self.told.borrow().keeping.error.clone();
        match (&before, &error) {
            (Some(_), None) => info!("what is in force is kept for the next start"),
            (before, Some(why)) if before.as_ref() != Some(why) => {
                error!("what is in force cannot be kept for the next start: {why}");
            }
            _ => {}
        }
        let bytes = (self.directory.bytes(), MOST);
        let keeping = Keeping { bytes, whole: self.pending.is_empty() && error.is_none(), error };
        self.told.send_replace(Written { taken: self.taken, keeping });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::{Lines, StateDirectory},
        *,
    };

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(root.path()).unwrap();
        let (directory, _) = state.source("files").unwrap();
        let told = watch::channel(Written::default()).0;
        let mut writer = Writer { directory, pending: Pending::default(), taken: 0, told };
        let key = |name: &str| vec![name.to_owned()];
        let change = |place: &str, new: &[&str], open: &[&str]| {
            let mut lines = Lines::default();
            for name in new {
                lines.add(&key(name), "1");
            }
            Change { place: place.to_owned(), lines, open: open.iter().map(|name| key(name)).collect() }
        };
        writer.take(vec![change("a", &["x", "y"], &[])]);
        writer.write().unwrap();

        let file = root.path().join("files/00000000");
        let aside = root.path().join("aside");
        fs::rename(&file, &aside).unwrap();
        fs::create_dir(&file).unwrap();
        writer.take(vec![change("a", &["y"], &["x"]), change("b", &["z"], &[])]);
        let error = writer.write().unwrap_err().to_string();
        assert!(error.starts_with("cannot read "), "{error}");
        assert_eq!(writer.pending.places().collect::<Vec<_>>(), ["a"], "the others are written");

        fs::remove_dir(&file).unwrap();
        fs::rename(&aside, &file).unwrap();
        writer.write().unwrap();
        assert!(writer.pending.is_empty());
        drop(writer);
        let (_, records) = state.source("files").unwrap();
        let a = records.iter().find(|record| record.place == "a").unwrap();
        let keys: Vec<&str> = a.entries.iter().map(|entry| entry.key[0].as_str()).collect();
        assert_eq!((records.len(), keys), (2, vec!["y", "x"]));
    }
}
