//! Workloads by the names of their cgroups: `--workload DATAPLANE=CGROUP`, and those of which a Dataplane says so.

use std::{
    collections::BTreeSet,
    future::pending,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::watch;

use super::{
    Confirm, DataplaneName, Followed, Found, Look, Waiting,
    cgroups::{BadPattern, Cgroup2, CgroupId, CgroupPattern, Matching},
    followed::Membership,
};
use crate::known::Known;

/// The cgroups of a local Dataplane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The Dataplane, as it was written.
    pub dataplane: DataplaneName,
    /// How the cgroups are called.
    pub cgroup: PathBuf,
    /// Where they are.
    pub patterns: Vec<CgroupPattern>,
}

/// All of them, as far as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllNamed {
    /// In their order.
    pub named: Arc<[Named]>,
    /// What cannot be told of others.
    pub doubts: Arc<[String]>,
    /// Whether these are all.
    pub complete: bool,
}

/// The cgroups of named workloads.
pub type NamedCgroups = Followed<NamedMembership>;

/// Those that are named at present.
pub struct NamedMembership {
    told: watch::Receiver<AllNamed>,
    /// Those that were looked for last.
    wanted: AllNamed,
}

/// The slices of systemd that a unit may be in, inside each other.
const SLICES: [&str; 3] = ["*.slice", "*.slice/*.slice", "*.slice/*.slice/*.slice"];

impl Named {
    /// By a path or a pattern.
    pub fn by_path(hierarchy: &Cgroup2, dataplane: DataplaneName, cgroup: &Path) -> Result<Self, BadPattern> {
        let patterns = vec![CgroupPattern::new(hierarchy, cgroup)?];
        Ok(Self { dataplane, cgroup: cgroup.to_path_buf(), patterns })
    }

    /// By a path, or by the name of a unit of systemd, in whichever slice.
    pub fn by_unit(hierarchy: &Cgroup2, dataplane: DataplaneName, name: &str) -> Result<Self, BadPattern> {
        let is_unit = !name.contains('/') && [".service", ".scope"].iter().any(|end| name.ends_with(end));
        if !is_unit {
            return Self::by_path(hierarchy, dataplane, Path::new(name));
        }
        let pattern = |slices: &str| CgroupPattern::new(hierarchy, &Path::new(slices).join(name));
        let patterns = SLICES.into_iter().map(pattern).collect::<Result<_, _>>()?;
        Ok(Self { dataplane, cgroup: name.into(), patterns })
    }

    /// The only cgroup that it can be, from the root on, if there is one.
    pub fn path(&self) -> Option<PathBuf> {
        match self.patterns.as_slice() {
            [only] => only.path(),
            _ => None,
        }
    }
}

impl AllNamed {
    /// These and no others.
    pub fn fixed(named: Vec<Named>) -> watch::Receiver<Self> {
        watch::channel(Self { named: named.into(), doubts: Arc::default(), complete: true }).1
    }
}

impl NamedCgroups {
    /// Looks for the first time.
    pub fn new(hierarchy: Cgroup2, told: watch::Receiver<AllNamed>, confirm: Confirm) -> Self {
        let wanted = AllNamed::default();
        Self::start(hierarchy, NamedMembership { told, wanted }, confirm)
    }
}

impl Membership for NamedMembership {
    fn look(&mut self, mount: &Path) -> Look {
        self.wanted = self.told.borrow_and_update().clone();
        let AllNamed { named, doubts, complete } = &self.wanted;
        let mut look = Look { doubts: doubts.to_vec(), ..Look::default() };
        for Named { dataplane, cgroup, patterns } in &**named {
            let before = look.found.len();
            for pattern in patterns {
                let Matching { directories, blind, .. } = pattern.matching(mount);
                look.blind.extend(blind);
                for path in directories {
                    match CgroupId::of(&path) {
                        Known::There(id) => {
                            look.found.push(Found { dataplane: dataplane.clone(), id, path });
                        }
                        // It has vanished meanwhile.
                        Known::Gone => {}
                        Known::Unknown(error) => look.blind.push((path, error)),
                    }
                }
            }
            if look.found.len() == before {
                look.waiting.push(Waiting { dataplane: dataplane.clone(), cgroup: cgroup.clone() });
            }
        }
        if !complete {
            let why = io::Error::other("the Dataplanes of this host are not known yet");
            look.blind.push((mount.to_path_buf(), why));
        }
        look
    }

    /// What was named by a Dataplane may be named no more.
    fn includes(&self, found: &Found) -> bool {
        let is_it = |named: &Named| {
            named.dataplane == found.dataplane && named.patterns.iter().any(|it| it.matches(&found.path))
        };
        !self.wanted.complete || self.wanted.named.iter().any(is_it)
    }

    fn above(&self, mount: &Path) -> BTreeSet<PathBuf> {
        let patterns = self.wanted.named.iter().flat_map(|named| &named.patterns);
        patterns.flat_map(|pattern| pattern.matching(mount).above).collect()
    }

    async fn changed(&mut self) {
        if self.told.changed().await.is_err() {
            pending::<()>().await;
        }
        self.told.mark_changed();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::resources::MeshName;

    fn dataplane(name: &str) -> DataplaneName {
        DataplaneName { mesh: MeshName::default(), name: name.into() }
    }

    #[test]
    fn a_unit_is_found_in_any_slice_and_goes_when_nobody_names_it() {
        let root = tempfile::tempdir().unwrap();
        let hierarchy = Cgroup2::at(root.path());
        for below in ["system.slice/a.service", "x.slice/x-y.slice/b.service", "b.service", "other/a.service"]
        {
            fs::create_dir_all(root.path().join(below)).unwrap();
        }
        let unit = |name: &str| Named::by_unit(&hierarchy, dataplane(name), name).unwrap();
        let (sender, told) = watch::channel(AllNamed::default());
        let mut membership = NamedMembership { told, wanted: AllNamed::default() };
        let mut look = |named: Vec<Named>, complete| {
            let doubts: Arc<[String]> = Arc::default();
            sender.send_replace(AllNamed { named: named.into(), doubts, complete });
            let look = membership.look(root.path());
            let below = |found: &Found| found.path.strip_prefix(root.path()).unwrap().to_path_buf();
            let found: Vec<PathBuf> = look.found.iter().map(below).collect();
            let stays: Vec<bool> = look.found.iter().map(|found| membership.includes(found)).collect();
            assert!(stays.iter().all(|stays| *stays));
            (found, look.waiting.len(), look.blind.len())
        };
        let all = vec![unit("a.service"), unit("b.service"), unit("c.service"), unit("/b.service")];
        let found = ["system.slice/a.service", "x.slice/x-y.slice/b.service", "b.service"];
        assert_eq!(look(all, true), (found.map(PathBuf::from).to_vec(), 1, 0));
        assert_eq!(look(Vec::new(), false), (Vec::new(), 0, 1), "nothing is known to be gone");
        let path = root.path().join("system.slice/a.service");
        let Known::There(id) = CgroupId::of(&path) else { panic!("it was made") };
        let before = Found { dataplane: dataplane("a.service"), id, path };
        assert!(membership.includes(&before));
        sender.send_replace(AllNamed { complete: true, ..AllNamed::default() });
        membership.look(root.path());
        assert!(!membership.includes(&before));
    }
}
