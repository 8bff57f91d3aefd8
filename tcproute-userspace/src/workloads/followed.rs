//! Cgroups of workloads, followed as they come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::block_in_place,
    time::{Instant, sleep},
};
use tracing::warn;

use super::{
    Found, Local, Look,
    cgroups::{Cgroup2, CgroupId, Watcher},
    presence::Presence,
};
use crate::known::Known;

/// How often to look without being told.
const INTERVAL: Duration = Duration::from_secs(1);

/// The kernel takes so long at least to forget a cgroup that was removed.
const FORGETTING: Duration = Duration::from_millis(2);

/// And never so long.
const LONG: Duration = Duration::from_secs(5);

/// Whether the kernel still has a cgroup of this number, to which programs were attached.
pub type Confirm = Arc<dyn Fn(CgroupId) -> Known<()> + Send + Sync>;

/// Which cgroups are looked for.
pub(super) trait Membership: Send {
    /// Looks for all of them in the hierarchy that is mounted there.
    fn look(&mut self, mount: &Path) -> Look;

    /// Whether this one, which was found before, is still looked for.
    fn includes(&self, found: &Found) -> bool;

    /// The directories in which something has to appear for there to be another one.
    fn above(&self, mount: &Path) -> BTreeSet<PathBuf>;

    /// Waits until others are looked for.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// The cgroups of some workloads.
pub struct Followed<M> {
    hierarchy: Cgroup2,
    membership: M,
    confirm: Confirm,
    local: Local,
    /// Since when cgroups are not seen that the kernel still has.
    lingering: BTreeMap<CgroupId, Instant>,
}

#[expect(private_bounds, reason = "who is a member is this module's own")]
impl<M: Membership> Followed<M> {
    /// Looks for the first time.
    pub(super) fn start(hierarchy: Cgroup2, membership: M, confirm: Confirm) -> Self {
        let mut this =
            Self { hierarchy, membership, confirm, local: Local::default(), lingering: BTreeMap::new() };
        this.look();
        this
    }

    /// What is known of them.
    pub const fn local(&self) -> &Local {
        &self.local
    }

    /// Looks again. Whether anything else is known than before.
    fn look(&mut self) -> bool {
        let Look { found, mut waiting, blind, doubts: told } = match self.find_mount() {
            None => self.membership.look(self.hierarchy.mount()),
            Some(blind) => blind,
        };
        let complete = blind.is_empty();
        let before = self.local.found.iter().filter(|found| self.membership.includes(found));
        let before: Vec<Found> = before.cloned().collect();
        let seen: BTreeSet<CgroupId> = found.iter().map(|found| found.id).collect();
        let Presence { found, blind: mut doubts, lingering } =
            Presence::of(&before, found, &blind, |found| (self.confirm)(found.id));
        doubts.extend(told);
        let unseen: Vec<_> = found.iter().filter(|found| !seen.contains(&found.id)).collect();
        waiting.retain(|waiting| !unseen.iter().any(|found| found.dataplane == waiting.dataplane));
        let now = Instant::now();
        self.lingering.retain(|id, _| lingering.contains_key(id));
        for (id, why) in lingering {
            let since = *self.lingering.entry(id).or_insert(now);
            if now - since >= LONG {
                doubts.push(format!("{why}: it counts as there"));
            }
        }
        let before = &self.local;
        let news = *found != *before.found
            || *waiting != *before.waiting
            || *doubts != *before.doubts
            || complete != before.complete;
        if news {
            let (found, waiting, doubts) = (found.into(), waiting.into(), doubts.into());
            self.local = Local { found, waiting, doubts, complete };
        }
        news
    }

    /// Sees to it that the hierarchy is looked for where it is mounted; if it is not, nothing can be seen.
    fn find_mount(&mut self) -> Option<Look> {
        if self.hierarchy.is_mounted() {
            return None;
        }
        match Cgroup2::find() {
            Ok(hierarchy) => {
                warn!(
                    "cgroup2 is not mounted at {} any more: it is looked at in {}",
                    self.hierarchy.mount().display(),
                    hierarchy.mount().display()
                );
                self.hierarchy = hierarchy;
                None
            }
            Err(error) => {
                let blind =
                    vec![(self.hierarchy.mount().to_path_buf(), std::io::Error::other(format!("{error:#}")))];
                Some(Look { waiting: self.local.waiting.to_vec(), blind, ..Look::default() })
            }
        }
    }

    /// Tells what is known of them, with the moment since when that may be so, whenever it changes; until nobody
    /// listens.
    pub(super) async fn follow(mut self, told: watch::Sender<(Instant, Local)>) {
        let mut watcher = match Watcher::new() {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                warn!("cgroups that come and go are only found by looking every second: {error}");
                None
            }
        };
        let mut since = Instant::now();
        let mut soon = FORGETTING;
        while !told.is_closed() {
            let begun = Instant::now();
            let news = block_in_place(|| {
                if let Some(watcher) = &mut watcher {
                    watcher.renew(&|| self.membership.above(self.hierarchy.mount()));
                }
                self.look()
            });
            if news {
                told.send_replace((since, self.local.clone()));
            }
            let lingers = !self.lingering.is_empty();
            soon = if lingers { (2 * soon).min(INTERVAL) } else { FORGETTING };
            // Where there are very many, looking takes half of the time at most.
            sleep(begun.elapsed()).await;
            tokio::select! {
                () = changed(watcher.as_ref()) => {}
                () = self.membership.changed() => {}
                () = sleep(if lingers { soon } else { INTERVAL }) => {}
            }
            since = Instant::now();
        }
    }
}

async fn changed(watcher: Option<&Watcher>) {
    match watcher {
        Some(watcher) => watcher.changed().await,
        None => std::future::pending().await,
    }
}
