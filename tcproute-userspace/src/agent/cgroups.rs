//! The cgroups of the workloads: which there are, found again whenever one comes or goes.
//!
//! Of directories in which something may appear inotify tells; it works on cgroup2 as elsewhere, since it is the virtual
//! file system that tells. What it misses is found by looking again at an interval.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd, AsRawFd, RawFd},
    path::PathBuf,
    time::Duration,
};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc,
    time::{Instant, sleep},
};
use tracing::warn;

use super::follow::News;
use crate::bpf::{
    cgroup::{Cgroup, CgroupId},
    cgroup_pattern::CgroupPattern,
};

/// How often to look without being told.
const INTERVAL: Duration = Duration::from_secs(1);

/// The cgroups of a local Dataplane.
#[derive(Debug, Clone)]
pub struct Named {
    /// The place of the Dataplane among those that were resolved.
    pub dataplane: usize,
    /// Which cgroups.
    pub pattern: CgroupPattern,
}

impl Named {
    pub(super) fn includes(&self, found: &Found) -> bool {
        self.dataplane == found.dataplane && self.pattern.matches(&found.path)
    }
}

/// A cgroup that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The place of its Dataplane among those that were resolved.
    pub dataplane: usize,
    /// Its directory.
    pub path: PathBuf,
    /// Its number.
    pub id: CgroupId,
}

/// All cgroups that are there, in the order in which they were named.
fn look(names: &[Named]) -> Vec<Found> {
    let found = names.iter().flat_map(|Named { dataplane, pattern }| {
        let paths = pattern.matching().into_iter();
        // One may vanish meanwhile.
        paths.filter_map(|path| Some(Found { dataplane: *dataplane, id: CgroupId::of(&path)?, path }))
    });
    found.collect()
}

/// The cgroups that can be workloads side by side, and why the others cannot. A workload inside another one would be
/// routed twice: its choice could be the outer one's destination. Those that are workloads already come first.
pub(super) fn side_by_side(
    found: &[Found],
    is_workload: impl Fn(&Found) -> bool,
) -> (Vec<Found>, Vec<String>) {
    let (mut chosen, mut refused) = (Vec::<Found>::new(), Vec::new());
    let (before, new): (Vec<&Found>, Vec<&Found>) = found.iter().partition(|found| is_workload(found));
    for it in before.into_iter().chain(new) {
        let overlaps = |other: &&Found| it.path.starts_with(&other.path) || other.path.starts_with(&it.path);
        match chosen.iter().find(overlaps) {
            None => chosen.push(it.clone()),
            Some(same) if same == it => {}
            Some(other) => {
                refused.push(format!(
                    "the cgroup {} is not attached: it overlaps with that of another workload, {}",
                    it.path.display(),
                    other.path.display()
                ));
            }
        }
    }
    (chosen, refused)
}

/// The cgroups that can be workloads at present, each with the place of its Dataplane.
pub fn present(names: &[Named]) -> Vec<(usize, Cgroup)> {
    let (chosen, _) = side_by_side(&look(names), |_| false);
    // The follower looks again: there it is told what overlaps, or has gone.
    let open = |found: Found| Some((found.dataplane, Cgroup::open(&found.path).ok()?));
    chosen.into_iter().filter_map(open).collect()
}

/// Tells which cgroups there are whenever that changes, until nobody listens.
pub(super) async fn follow(names: Vec<Named>, news: mpsc::Sender<News>) {
    let mut watcher = match Watcher::new() {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            warn!("cgroups that come and go are only found by looking every second: {error}");
            None
        }
    };
    let mut before = None;
    let mut since = Instant::now();
    loop {
        if let Some(watcher) = &mut watcher {
            watcher.renew(&names);
        }
        let found = look(&names);
        if before.as_ref() != Some(&found) {
            before = Some(found.clone());
            if news.send(News::Cgroups { since, found }).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = changed(watcher.as_ref()) => {}
            () = sleep(INTERVAL) => {}
        }
        since = Instant::now();
    }
}

async fn changed(watcher: Option<&Watcher>) {
    match watcher {
        Some(watcher) => watcher.changed().await,
        None => std::future::pending().await,
    }
}

/// A watch over the directories in which cgroups may appear.
struct Watcher {
    inotify: AsyncFd<Descriptor>,
    watched: BTreeSet<PathBuf>,
    failed: bool,
}

struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Watcher {
    fn new() -> std::io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        // SAFETY: the descriptor owns the file that its number stands for, and keeps it.
        let inotify = unsafe { AsyncFd::register_with_interest(Descriptor(inotify), Interest::READABLE) }?;
        Ok(Self { inotify, watched: BTreeSet::new(), failed: false })
    }

    /// Watches what there is at present. What appears before a watch was there is found the next time round.
    fn renew(&mut self, names: &[Named]) {
        loop {
            let directories: BTreeSet<PathBuf> =
                names.iter().flat_map(|named| named.pattern.directories()).collect();
            for directory in &directories {
                self.watch(directory);
            }
            if directories == self.watched {
                return;
            }
            self.watched = directories;
        }
    }

    /// A directory that is watched already stays watched; one that is removed is not any more.
    fn watch(&mut self, directory: &PathBuf) {
        let flags = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_ONLYDIR;
        match self.inotify.get_ref().0.add_watch(directory, flags) {
            // It vanished meanwhile.
            Ok(_) | Err(nix::Error::ENOENT) => {}
            Err(error) if !self.failed => {
                self.failed = true;
                let at = directory.display();
                warn!(
                    "cgroups that come and go are only found by looking every second: cannot watch {at}: {error}"
                );
            }
            Err(_) => {}
        }
    }

    /// Waits for events, and takes them all. Can be dropped while waiting.
    async fn changed(&self) {
        let Ok(mut ready) = self.inotify.readable().await else { return std::future::pending().await };
        while self.inotify.get_ref().0.read_events().is_ok_and(|events| !events.is_empty()) {}
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(dataplane: usize, path: &str, id: u64) -> Found {
        Found { dataplane, path: path.into(), id: CgroupId::new(id) }
    }

    #[test]
    fn of_two_that_overlap_the_one_that_is_a_workload_stays() {
        let (outer, inner, other) = (found(0, "/a", 1), found(1, "/a/b", 2), found(0, "/ab", 3));
        let all = [outer.clone(), inner.clone(), other.clone(), other.clone()];
        let (chosen, refused) = side_by_side(&all, |_| false);
        assert_eq!(chosen, [outer, other.clone()]);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].contains("/a/b is not attached"), "{refused:?}");
        let (chosen, refused) = side_by_side(&all, |found| *found == inner);
        assert_eq!(chosen, [inner, other]);
        assert!(refused[0].contains("/a is not attached"), "{refused:?}");
    }
}
