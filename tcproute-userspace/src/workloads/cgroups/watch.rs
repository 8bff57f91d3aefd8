//! Sees cgroups come and go.
//!
//! Of directories in which something may appear inotify tells; it works on cgroup2 as elsewhere, since it is the
//! virtual file system that tells. What it misses is found by looking again at an interval.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd, AsRawFd, RawFd},
    path::PathBuf,
};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::{Interest, unix::AsyncFd};
use tracing::warn;

/// A watch over the directories in which cgroups may appear.
pub(in crate::workloads) struct Watcher {
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
    pub(in crate::workloads) fn new() -> std::io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        // SAFETY: the descriptor owns the file that its number stands for, and keeps it.
        let inotify = unsafe { AsyncFd::register_with_interest(Descriptor(inotify), Interest::READABLE) }?;
        Ok(Self { inotify, watched: BTreeSet::new(), failed: false })
    }

    /// Watches these directories. What appears before a watch was there is found the next time round, so they are asked
    /// for again until they stay the same.
    pub(in crate::workloads) fn renew(&mut self, directories: &dyn Fn() -> BTreeSet<PathBuf>) {
        loop {
            let now = directories();
            for directory in &now {
                self.watch(directory);
            }
            if now == self.watched {
                return;
            }
            self.watched = now;
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
    pub(in crate::workloads) async fn changed(&self) {
        let Ok(mut ready) = self.inotify.readable().await else { return std::future::pending().await };
        while self.inotify.get_ref().0.read_events().is_ok_and(|events| !events.is_empty()) {}
        ready.clear_ready();
    }
}
