//! Workloads as a user names them, `--workload DATAPLANE=CGROUP`.

use std::{
    collections::BTreeSet,
    future::pending,
    path::{Path, PathBuf},
};

use super::{
    Confirm, DataplaneName, Followed, Found, Look, Waiting,
    cgroups::{Cgroup2, CgroupId, CgroupPattern, Matching},
    followed::Membership,
};
use crate::known::Known;

/// The cgroups of a local Dataplane.
#[derive(Debug, Clone)]
pub struct Named {
    /// The Dataplane, as it was written.
    pub dataplane: DataplaneName,
    /// Which cgroups.
    pub pattern: CgroupPattern,
}

/// All that were named, in their order.
pub struct AllNamed(Vec<Named>);

/// The cgroups of named workloads.
pub type NamedCgroups = Followed<AllNamed>;

impl NamedCgroups {
    /// Looks for the first time.
    pub fn new(hierarchy: Cgroup2, names: Vec<Named>, confirm: Confirm) -> Self {
        Self::start(hierarchy, AllNamed(names), confirm)
    }
}

impl Membership for AllNamed {
    fn look(&mut self, mount: &Path) -> Look {
        let mut look = Look::default();
        for Named { dataplane, pattern } in &self.0 {
            let Matching { directories, blind, .. } = pattern.matching(mount);
            look.blind.extend(blind);
            let before = look.found.len();
            for path in directories {
                match CgroupId::of(&path) {
                    Known::There(id) => look.found.push(Found { dataplane: dataplane.clone(), id, path }),
                    // It has vanished meanwhile.
                    Known::Gone => {}
                    Known::Unknown(error) => look.blind.push((path, error)),
                }
            }
            if look.found.len() == before {
                let cgroup = pattern.named().to_path_buf();
                look.waiting.push(Waiting { dataplane: dataplane.clone(), cgroup });
            }
        }
        look
    }

    fn includes(&self, _: &Found) -> bool {
        true
    }

    fn above(&self, mount: &Path) -> BTreeSet<PathBuf> {
        self.0.iter().flat_map(|named| named.pattern.matching(mount).above).collect()
    }

    async fn changed(&mut self) {
        pending::<()>().await;
    }
}
