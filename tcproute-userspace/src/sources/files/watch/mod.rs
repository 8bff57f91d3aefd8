//! Says when files may have changed, without saying how: whoever asks reads all of them again.
//!
//! The directories are watched and not the files, since editors rename a new file into place and Kubernetes
//! swaps the symbolic link `..data` of a mounted ConfigMap. Where that fails, or something is not seen, looking
//! again at an interval takes its place.

mod debounce;
mod places;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use debounce::{Burst, Sign};
use places::{Places, places};

/// How long to wait before looking again while watching does not work.
const INTERVAL: Duration = Duration::from_secs(1);

/// A watch over everything that decides what some paths lead to.
pub(super) struct Watch {
    paths: Vec<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    sender: mpsc::UnboundedSender<Seen>,
    events: mpsc::UnboundedReceiver<Seen>,
    places: Places,
    watched: BTreeMap<PathBuf, Identity>,
    burst: Option<Burst>,
    /// Files of concern that somebody writes and has not closed, and since when.
    written: BTreeMap<PathBuf, Instant>,
    blind: Option<String>,
}

/// An event and when it came.
type Seen = (Instant, notify::Result<Event>);

/// Device and inode: another directory of the same name has others.
type Identity = (u64, u64);

impl Watch {
    /// Everything that changes from now on is told.
    pub(super) fn start(paths: Vec<PathBuf>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let (places, watched) = (Places::new(), BTreeMap::new());
        let mut watch = Self {
            paths,
            watcher: None,
            sender,
            events,
            places,
            watched,
            burst: None,
            written: BTreeMap::new(),
            blind: None,
        };
        watch.renew();
        watch
    }

    /// Why watching does not work, if it does not.
    pub(super) fn blind(&self) -> Option<&str> {
        self.blind.as_deref()
    }

    /// The files that somebody writes and has not closed, and since when: without symbolic links on the way.
    pub(super) const fn written(&self) -> &BTreeMap<PathBuf, Instant> {
        &self.written
    }

    /// Waits until something may have changed and its writers have come to rest. When it began to change. Can be
    /// dropped while waiting: no change gets lost.
    pub(super) async fn changed(&mut self) -> Instant {
        let mut again = None;
        loop {
            // Of what is written for long others are told. Counted from when that began, not from the last change.
            let looks_again = self.blind.is_some() || !self.written.is_empty();
            again = looks_again.then(|| again.unwrap_or_else(|| Instant::now() + INTERVAL));
            let until = self.burst.as_ref().map(Burst::over).or(again);
            tokio::select! {
                Some((at, event)) = self.events.recv() => self.take(at, event),
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    return self.burst.take().map(|burst| burst.first()).or(again).unwrap_or_else(Instant::now);
                }
            }
        }
    }

    /// To be called before files are read: what leads to them may have changed, too.
    pub(super) fn renew(&mut self) {
        let renewed = (0..3).try_for_each(|_| self.renew_once());
        let Err(error) = renewed else { return self.now_blind(None) };
        self.now_blind(Some(format!("{error:#}")));
    }

    /// Watches what leads to the files at present. What changed before a watch was there is found the next time.
    fn renew_once(&mut self) -> Result<()> {
        let (mut places, looked) = places(&self.paths);
        if looked.is_err() {
            // What is not seen may be there.
            for (directory, interest) in std::mem::take(&mut self.places) {
                places.entry(directory).or_insert(interest);
            }
        }
        self.places = places;
        let mut result = looked.context("cannot tell what leads to the files");
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => none.insert(watcher(self.sender.clone())?),
        };
        let mut wanted: BTreeMap<PathBuf, Identity> = BTreeMap::new();
        for directory in self.places.keys() {
            let identity = match fs::metadata(directory) {
                Ok(metadata) => Some((metadata.dev(), metadata.ino())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                // As far as is known it is the one that it was.
                Err(error) => {
                    result = Err(error).with_context(|| format!("cannot look at {}", directory.display()));
                    self.watched.get(directory).copied()
                }
            };
            wanted.extend(identity.map(|identity| (directory.clone(), identity)));
        }
        // First those that go: a directory that was moved is the same to the kernel.
        let gone = self.watched.extract_if(.., |directory, identity| wanted.get(directory) != Some(identity));
        for (directory, _) in gone {
            // One that was removed is not watched any more.
            let _ = watcher.unwatch(&directory);
        }
        for (directory, identity) in wanted {
            let Entry::Vacant(entry) = self.watched.entry(directory) else { continue };
            match watcher.watch(entry.key(), RecursiveMode::NonRecursive) {
                Ok(()) => {
                    entry.insert(identity);
                }
                // It went away meanwhile: the next look finds it missing.
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
                Err(error) => {
                    let at = || format!("cannot watch {}", entry.key().display());
                    result = Err(error).with_context(at);
                }
            }
        }
        result
    }

    fn now_blind(&mut self, why: Option<String>) {
        if why.is_some() {
            // Nothing would tell when they are closed.
            self.written.clear();
        }
        match (&self.blind, &why) {
            (None, Some(why)) => {
                warn!("changed files are only found by looking every {} s: {why}", INTERVAL.as_secs());
            }
            (Some(_), None) => info!("files are watched again"),
            _ => {}
        }
        self.blind = why;
    }

    fn take(&mut self, at: Instant, event: notify::Result<Event>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => return self.now_blind(Some(error.to_string())),
        };
        let sign = if event.need_rescan() {
            self.written.clear();
            warn!("changes of files came faster than they could be taken: looking at all of them again");
            Sign::Other
        } else {
            self.forget_moved(&event);
            match self.sign(&event) {
                Some(sign) => sign,
                None => return,
            }
        };
        match &sign {
            Sign::Written(path) => drop(self.written.entry(path.clone()).or_insert(at)),
            Sign::Closed(path) => drop(self.written.remove(path)),
            Sign::Other => {}
        }
        match &mut self.burst {
            Some(burst) => burst.add(at, sign),
            None => self.burst = Some(Burst::begin(at, sign)),
        }
    }

    /// A directory that was moved or removed may come back, and then is not watched. Of a file nothing tells any more
    /// when it is closed.
    fn forget_moved(&mut self, event: &Event) {
        if matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))) {
            for path in &event.paths {
                self.written.retain(|written, _| !written.starts_with(path));
                for (directory, _) in self.watched.extract_if(.., |directory, _| directory.starts_with(path))
                {
                    if let Some(watcher) = &mut self.watcher {
                        let _ = watcher.unwatch(&directory);
                    }
                }
            }
        }
    }

    /// `None` if the event is of no interest. Reading is not, or this process would wake itself.
    fn sign(&self, event: &Event) -> Option<Sign> {
        if !event.paths.iter().any(|path| self.concerns(path)) {
            return None;
        }
        let path = event.paths.first().cloned();
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => path.map(Sign::Closed),
            EventKind::Access(_) => None,
            EventKind::Modify(ModifyKind::Data(_)) => path.map(Sign::Written),
            _ => Some(Sign::Other),
        }
    }

    fn concerns(&self, path: &Path) -> bool {
        // What happens to a watched directory itself, or to what leads to it.
        let above = self.places.keys().any(|directory| directory.starts_with(path));
        let inside = || {
            let interest = path.parent().and_then(|directory| self.places.get(directory));
            interest.zip(path.file_name()).is_some_and(|(interest, name)| interest.includes(name))
        };
        above || inside()
    }
}

fn watcher(sender: mpsc::UnboundedSender<Seen>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event| {
        // Nobody listens any more when the daemon stops.
        let _ = sender.send((Instant::now(), event));
    })
}

#[cfg(test)]
mod tests;
