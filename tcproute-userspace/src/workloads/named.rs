//! Workloads as a user names them, `--workload DATAPLANE=CGROUP`: followed as their cgroups come and go.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::block_in_place,
    time::{Instant, sleep},
};
use tracing::warn;

use super::{
    Found, Local, Look,
    cgroups::{Cgroup2, CgroupId, CgroupPattern, Matching, Watcher},
    presence::Presence,
};
use crate::known::Known;

/// How often to look without being told.
const INTERVAL: Duration = Duration::from_secs(1);

/// The kernel takes so long at least to forget a cgroup that was removed.
const FORGETTING: Duration = Duration::from_millis(2);

/// And never so long.
const LONG: Duration = Duration::from_secs(5);

/// The cgroups of a local Dataplane.
#[derive(Debug, Clone)]
pub struct Named {
    /// The name of the Dataplane, as it was written.
    pub dataplane: Arc<str>,
    /// Which cgroups.
    pub pattern: CgroupPattern,
}

impl Named {
    /// Whether it stands for this one.
    pub(crate) fn includes(&self, found: &Found) -> bool {
        self.dataplane == found.dataplane && self.pattern.matches(&found.path)
    }
}

/// Whether the kernel still has a cgroup of this number, to which programs were attached.
pub type Confirm = Arc<dyn Fn(CgroupId) -> Known<()> + Send + Sync>;

/// All cgroups that are there, in the order in which they were named.
fn look(hierarchy: &Cgroup2, names: &[Named]) -> Look {
    let mut look = Look::default();
    for Named { dataplane, pattern } in names {
        let Matching { directories, blind, .. } = pattern.matching(hierarchy.mount());
        look.blind.extend(blind);
        for path in directories {
            match CgroupId::of(&path) {
                Known::There(id) => look.found.push(Found { dataplane: Arc::clone(dataplane), id, path }),
                // It has vanished meanwhile.
                Known::Gone => {}
                Known::Unknown(error) => look.blind.push((path, error)),
            }
        }
    }
    look
}

/// The cgroups of named workloads.
pub struct NamedCgroups {
    hierarchy: Cgroup2,
    names: Vec<Named>,
    confirm: Confirm,
    local: Local,
    /// Since when cgroups are not seen that the kernel still has.
    lingering: BTreeMap<CgroupId, Instant>,
}

impl NamedCgroups {
    /// Looks for the first time.
    pub fn new(hierarchy: Cgroup2, names: Vec<Named>, confirm: Confirm) -> Self {
        let mut named =
            Self { hierarchy, names, confirm, local: Local::default(), lingering: BTreeMap::new() };
        named.look();
        named
    }

    /// What is known of them.
    pub const fn local(&self) -> &Local {
        &self.local
    }

    /// What was named.
    pub fn names(&self) -> &[Named] {
        &self.names
    }

    /// Looks again. Whether anything else is known than before.
    fn look(&mut self) -> bool {
        let look = self.find_mount().unwrap_or_else(|| look(&self.hierarchy, &self.names));
        let complete = look.blind.is_empty();
        let Presence { found, blind: mut doubts, lingering } =
            Presence::of(&self.local.found, look, |found| (self.confirm)(found.id));
        let now = Instant::now();
        self.lingering.retain(|id, _| lingering.contains_key(id));
        for (id, why) in lingering {
            let since = *self.lingering.entry(id).or_insert(now);
            if now - since >= LONG {
                doubts.push(format!("{why}: it counts as there"));
            }
        }
        let Local { found: before, doubts: doubted, complete: completed } = &self.local;
        let news = *found != **before || *doubts != **doubted || complete != *completed;
        if news {
            self.local = Local { found: found.into(), doubts: doubts.into(), complete };
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
                let mount = self.hierarchy.mount().to_path_buf();
                Some(Look {
                    found: Vec::new(),
                    blind: vec![(mount, std::io::Error::other(format!("{error:#}")))],
                })
            }
        }
    }

    /// Tells what is known of them, with the moment since when that may be so, whenever it changes; until nobody
    /// listens.
    pub async fn follow(mut self, told: watch::Sender<(Instant, Local)>) {
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
                    let patterns = self.names.iter().map(|named| &named.pattern);
                    watcher.renew(self.hierarchy.mount(), &patterns);
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
