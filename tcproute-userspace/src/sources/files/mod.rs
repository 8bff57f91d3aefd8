//! Resources in files, read again whenever they change.
//!
//! - `list`: which files there are, and what tells one state of a file from another.
//! - `bytes`, `content`: what is in one file.
//! - `good`: what counts of it after what it had before.
//! - `earlier`: what an earlier daemon has kept of it.
//! - `store`: all files together.
//! - `settled`: files as they stood at one moment.
//! - `watch`: when something may have changed.
//! - `reading`: files that are read once.
//! - `written`: where what they have is written.

mod bytes;
mod content;
mod earlier;
mod good;
mod list;
mod reading;
mod settled;
mod store;
mod watch;
mod written;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch as channel,
    time::{Instant, sleep},
};

use super::{
    documents::{Rules, Strictness},
    last_good::{Keeper, LastGood},
    name::SourceName,
    snapshot::{Health, Kept, LastAnswer, Latest, Snapshot, Stream},
    thread,
};
use settled::SettledFiles;
use watch::Watch;

pub use reading::{Reading, load, parse, read};
pub use written::{FieldPlace, Written};

/// How often what cannot be read is tried again: nothing tells when that has passed.
const RETRY: Duration = Duration::from_secs(1);

/// This source in what is told of it.
pub const NAME: SourceName = "files";

/// Reads these files and directories, and follows them for as long as somebody listens. What it says first is what an
/// earlier daemon has kept, if any is.
pub fn follow(paths: Vec<PathBuf>, strictness: Strictness, last_good: LastGood) -> io::Result<Stream> {
    let since = Instant::now();
    let before = Snapshot { health: Health::Awaited, ..Snapshot::default() };
    let (told, stream) = channel::channel(Latest::first(before));
    thread::serve(NAME, move || async move {
        // Watched before they are read, so that no change is missed.
        let mut follower = Follower::start(paths, strictness, last_good, &told);
        told.send_replace(follower.read(since));
        follower.follow(told).await;
    })?;
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
    answered: LastAnswer,
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
        Self { watch: Watch::start(paths), files, keeper, answered: LastAnswer::default() }
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
        self.answered.set();
        Latest { since, snapshot: Arc::new(snapshot), kept, answered: self.answered.clone() }
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
