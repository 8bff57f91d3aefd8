//! Workloads as a user names them, `--workload DATAPLANE=CGROUP`: followed as their cgroups come and go.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::block_in_place,
    time::{Instant, sleep},
};
use tracing::warn;

use super::{
    Found,
    cgroups::{CgroupId, CgroupPattern, Watcher},
};

/// How often to look without being told.
const INTERVAL: Duration = Duration::from_secs(1);

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

/// All cgroups that are there, in the order in which they were named.
pub fn look(names: &[Named]) -> Vec<Found> {
    let found = names.iter().flat_map(|Named { dataplane, pattern }| {
        let paths = pattern.matching().into_iter();
        // One may vanish meanwhile.
        paths.filter_map(|path: PathBuf| {
            Some(Found { dataplane: Arc::clone(dataplane), id: CgroupId::of(&path)?, path })
        })
    });
    found.collect()
}

/// Tells which cgroups there are, with the moment since when that may be so, whenever it changes; until nobody listens.
pub async fn follow(names: Vec<Named>, told: watch::Sender<(Instant, Arc<[Found]>)>) {
    let mut watcher = match Watcher::new() {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            warn!("cgroups that come and go are only found by looking every second: {error}");
            None
        }
    };
    let mut since = Instant::now();
    while !told.is_closed() {
        let begun = Instant::now();
        let found: Arc<[Found]> = block_in_place(|| {
            if let Some(watcher) = &mut watcher {
                watcher.renew(&names.iter().map(|named| &named.pattern));
            }
            look(&names).into()
        });
        told.send_if_modified(|before| {
            let news = before.1 != found;
            if news {
                *before = (since, found);
            }
            news
        });
        // Where there are very many, looking takes half of the time at most.
        sleep(begun.elapsed()).await;
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
