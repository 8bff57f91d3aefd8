//! Resources in files, read again whenever they change.
//!
//! - `list`: which files there are, and what tells one state of a file from another.
//! - `alike`: what is alike is one in memory.
//! - `content`: what is in one file.
//! - `good`: what counts of it after what it had before.
//! - `store`: all files together.
//! - `settled`: files as they stood at one moment.
//! - `watch`: when something may have changed.
//! - `reading`: files that are read once.

mod alike;
mod content;
mod good;
mod list;
mod reading;
mod settled;
mod store;
mod watch;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    runtime,
    sync::{oneshot, watch as channel},
    time::{Instant, sleep},
};

use super::{
    documents::Strictness,
    snapshot::{Health, Latest, Snapshot, SourceName, Stream},
};
use settled::SettledFiles;
use watch::Watch;

pub use reading::{Reading, load, parse, read};

/// How often what cannot be read is tried again: nothing tells when that has passed.
const RETRY: Duration = Duration::from_secs(1);

/// This source in what is told of it.
pub const NAME: SourceName = "files";

/// Reads these files and directories, and follows them for as long as somebody listens.
///
/// On a thread of its own: file systems may take their time, and what one thread gives back it takes again, while the memory
/// that many threads have given back adds up.
pub async fn follow(paths: Vec<PathBuf>, strictness: Strictness) -> io::Result<Stream> {
    let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
    let (sender, first) = oneshot::channel();
    thread::Builder::new().name("files".to_owned()).spawn(move || {
        let since = Instant::now();
        // Watched before they are read, so that no change is missed.
        let mut follower = Follower::start(paths, strictness);
        let (told, stream) = channel::channel(Latest { since, snapshot: follower.read() });
        if sender.send(stream).is_ok() {
            runtime.block_on(follower.follow(told));
        }
    })?;
    first.await.map_err(io::Error::other)
}

/// Whoever writes longer is told of.
const LONG: Duration = Duration::from_secs(10);

fn is_written(path: &Path, written: &BTreeMap<PathBuf, Instant>) -> bool {
    !written.is_empty() && fs::canonicalize(path).is_ok_and(|real| written.contains_key(&real))
}

struct Follower {
    watch: Watch,
    files: SettledFiles,
}

impl Follower {
    fn start(paths: Vec<PathBuf>, strictness: Strictness) -> Self {
        Self { watch: Watch::start(paths.clone()), files: SettledFiles::new(paths, strictness.into()) }
    }

    fn read(&mut self) -> Arc<Snapshot> {
        self.watch.renew();
        let written = self.watch.written();
        let mut snapshot = self.files.load(&|path| is_written(path, written));
        let late = match self.watch.blind() {
            Some(why) => Some(why.to_owned()),
            None => written.iter().find(|(_, since)| since.elapsed() >= LONG).map(|(path, since)| {
                let seconds = since.elapsed().as_secs() / LONG.as_secs() * LONG.as_secs();
                format!(
                    "{} is being written for more than {seconds} s: what it was before stays until its writer closes it",
                    path.display()
                )
            }),
        };
        if let (Health::Well, Some(why)) = (&snapshot.health, late) {
            snapshot.health = Health::Late { why };
        }
        Arc::new(snapshot)
    }

    /// Until nobody listens.
    async fn follow(mut self, told: channel::Sender<Latest>) {
        loop {
            let failing = matches!(told.borrow().snapshot.health, Health::Failing { .. });
            let since = tokio::select! {
                since = self.watch.changed() => since,
                () = sleep(RETRY), if failing => Instant::now(),
                () = told.closed() => return,
            };
            let snapshot = self.read();
            told.send_replace(Latest { since, snapshot });
        }
    }
}

#[cfg(test)]
mod tests;
