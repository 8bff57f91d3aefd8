//! Resources in files, read again whenever they change.
//!
//! - `list`: which files there are, and what tells one state of a file from another.
//! - `bytes`, `content`: what is in one file.
//! - `good`: what counts of it after what it had before.
//! - `kept`: what is kept of it for the next start.
//! - `store`: all files together.
//! - `settled`: files as they stood at one moment.
//! - `watch`: when something may have changed.
//! - `reading`: files that are read once.

mod bytes;
mod content;
mod good;
mod kept;
mod list;
mod reading;
mod settled;
mod store;
mod watch;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::{
    runtime,
    sync::watch as channel,
    time::{Instant, sleep},
};

use super::{
    documents::{Rules, Strictness},
    last_good::{Keeper, LastGood},
    name::SourceName,
    snapshot::{Health, Kept, Latest, Snapshot, Stream},
};
use settled::SettledFiles;
use watch::Watch;

pub use reading::{Reading, load, parse, read};

/// How often what cannot be read is tried again: nothing tells when that has passed.
const RETRY: Duration = Duration::from_secs(1);

/// This source in what is told of it.
pub const NAME: SourceName = "files";

/// Reads these files and directories, and follows them for as long as somebody listens. What it says first is what an
/// earlier daemon has kept, if any is.
///
/// On a thread of its own: file systems may take their time, and what one thread gives back it takes again, while the
/// memory that many threads have given back adds up.
pub fn follow(paths: Vec<PathBuf>, strictness: Strictness, last_good: LastGood) -> io::Result<Stream> {
    let since = Instant::now();
    let (ready, is_ready) = mpsc::channel();
    let before = Snapshot { health: Health::Awaited, ..Snapshot::default() };
    let (told, stream) =
        channel::channel(Latest { since, snapshot: Arc::new(before), kept: Kept::default() });
    thread::Builder::new().name("files".to_owned()).spawn(move || {
        // Made here, since it must not end within another one, as it would where no thread can be started.
        let runtime = match runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        drop(ready.send(Ok(())));
        // Watched before they are read, so that no change is missed.
        let mut follower = Follower::start(paths, strictness, last_good, &told);
        told.send_replace(follower.read(since));
        runtime.block_on(follower.follow(told));
    })?;
    is_ready.recv().map_err(io::Error::other)??;
    Ok(stream)
}

/// Whoever writes longer is told of.
const LONG: Duration = Duration::from_secs(10);

fn is_written(path: &Path, written: &BTreeMap<PathBuf, Instant>) -> bool {
    !written.is_empty() && fs::canonicalize(path).is_ok_and(|real| written.contains_key(&real))
}

struct Follower {
    watch: Watch,
    files: SettledFiles,
    keeper: Keeper,
}

impl Follower {
    fn start(
        paths: Vec<PathBuf>,
        strictness: Strictness,
        LastGood { records, keeper }: LastGood,
        told: &channel::Sender<Latest>,
    ) -> Self {
        let rules = Rules { as_json: keeper.keeps(), ..strictness.into() };
        let mut files = SettledFiles::new(paths.clone(), rules);
        let before = Arc::new(files.begin_with(records));
        told.send_modify(|latest| {
            latest.snapshot = before;
            latest.kept.stale = files.stale();
        });
        Self { watch: Watch::start(paths), files, keeper }
    }

    fn read(&mut self, since: Instant) -> Latest {
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
        self.keeper.keep(self.files.take_changes());
        let kept = Kept { stale: self.files.stale(), keeping: Some(self.keeper.keeping()) };
        Latest { since, snapshot: Arc::new(snapshot), kept }
    }

    /// Until nobody listens.
    async fn follow(mut self, told: channel::Sender<Latest>) {
        loop {
            let failing = matches!(told.borrow().snapshot.health, Health::Failing { .. });
            let since = tokio::select! {
                since = self.watch.changed() => since,
                () = sleep(RETRY), if failing => Instant::now(),
                keeping = self.keeper.changed() => {
                    told.send_modify(|latest| latest.kept.keeping = Some(keeping));
                    continue;
                }
                () = told.closed() => return,
            };
            told.send_replace(self.read(since));
        }
    }
}

#[cfg(test)]
mod tests;
