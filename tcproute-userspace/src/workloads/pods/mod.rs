//! The pods of this node: each is a workload, and its cgroup is the directory that kubelet makes for it, so that
//! containers, runtimes and restarts do not matter.
//!
//! - `uid`: from the name of a directory to the pod. Pure.
//! - `directories`: where such directories are.

mod directories;
mod uid;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::watch;

use super::{
    Confirm, DataplaneName, Followed, Found, Look, Waiting,
    cgroups::{Cgroup2, CgroupId},
    followed::Membership,
};
use crate::known::Known;
use directories::Directories;

pub use uid::PodUid;

/// A pod of this node that has routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPod {
    /// What its directory is called by: its uid or, if it is a static pod, the hash of its definition.
    pub uid: PodUid,
    /// Its uid, whatever it is.
    pub object_uid: Box<str>,
    /// Whether its containers run, as far as kubelet has said.
    pub runs: bool,
    /// Its Dataplane.
    pub dataplane: DataplaneName,
}

impl LocalPod {
    /// What stands for its directory as long as that is not there.
    pub fn directory(&self) -> PathBuf {
        PathBuf::from(format!("pod{}", self.uid))
    }
}

/// All of them, as far as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalPods {
    /// Each once.
    pub pods: Arc<[LocalPod]>,
    /// Whether these are all: no list of them was had before.
    pub complete: bool,
}

/// All pods of a node, whether they have routes or not.
#[derive(Debug, Default)]
pub struct PodsOfNode {
    /// The directories that kubelet keeps those of pods in. None if this is no node, or kubelet has not started yet.
    pub roots: BTreeSet<PathBuf>,
    /// The directory of each.
    pub pods: Vec<(PodUid, PathBuf)>,
    /// Where it cannot be told what there is.
    pub blind: Vec<(PathBuf, std::io::Error)>,
}

impl PodsOfNode {
    /// Looks once.
    pub fn look(mount: &Path) -> Self {
        let mut directories = Directories::default();
        let found = directories.look(mount, true);
        Self { roots: directories.roots().clone(), pods: found.pods, blind: found.blind }
    }
}

/// The cgroups of pods.
pub type PodCgroups = Followed<AllPods>;

/// All pods that have routes.
pub struct AllPods {
    told: watch::Receiver<LocalPods>,
    /// Those that were looked for last, unless these are not all.
    wanted: Option<BTreeSet<PodUid>>,
    directories: Directories,
}

impl PodCgroups {
    /// Looks for the first time.
    pub fn new(hierarchy: Cgroup2, pods: watch::Receiver<LocalPods>, confirm: Confirm) -> Self {
        Self::start(
            hierarchy,
            AllPods { told: pods, wanted: None, directories: Directories::default() },
            confirm,
        )
    }
}

impl Membership for AllPods {
    fn look(&mut self, mount: &Path) -> Look {
        let LocalPods { pods, complete } = self.told.borrow_and_update().clone();
        let mut look = Look::default();
        let wanted: BTreeMap<&PodUid, &LocalPod> = pods.iter().map(|pod| (&pod.uid, pod)).collect();
        let mut missing: BTreeSet<&PodUid> = wanted.keys().copied().collect();
        let directories = self.directories.look(mount, !missing.is_empty());
        look.blind.extend(directories.blind);
        for (uid, path) in directories.pods {
            let Some(pod) = wanted.get(&uid) else { continue };
            match CgroupId::of(&path) {
                Known::There(id) => {
                    look.found.push(Found { dataplane: pod.dataplane.clone(), path, id });
                    missing.remove(&pod.uid);
                }
                // It has vanished meanwhile.
                Known::Gone => {}
                Known::Unknown(error) => look.blind.push((path, error)),
            }
        }
        let missing = missing.iter().filter_map(|uid| wanted.get(uid));
        look.waiting = missing
            .map(|pod| Waiting { dataplane: pod.dataplane.clone(), cgroup: pod.directory() })
            .collect();
        self.wanted = complete.then(|| wanted.keys().copied().cloned().collect());
        if !complete {
            let why = std::io::Error::other("the pods of this node are not known yet");
            look.blind.push((mount.to_path_buf(), why));
        }
        look
    }

    /// The directory of one that has no routes any more may be there still.
    fn includes(&self, found: &Found) -> bool {
        let uid = found.path.file_name().and_then(|name| PodUid::of_directory(name.to_str()?));
        self.wanted.as_ref().is_none_or(|wanted| uid.is_some_and(|uid| wanted.contains(&uid)))
    }

    fn above(&self, mount: &Path) -> BTreeSet<PathBuf> {
        self.directories.above(mount)
    }

    async fn changed(&mut self) {
        if self.told.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.told.mark_changed();
    }
}
