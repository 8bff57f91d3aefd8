//! What outlives the daemon: its maps and links, pinned under bpffs.
//!
//! ```text
//! <bpffs>/tcproute/             0700, locked by the daemon
//!     layout-2-2-0/             versions of the tables and of the sockets' states, and the generation of the counts
//!     routes, backends, …       maps, also for `bpftool map dump pinned`
//!     before-<id>               a map `outcomes` that was too small, until its counts are in the map `carried`
//!     links/<cgroup id>/<hook>  one link for each program and workload
//! ```

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::{
        stat::{major, minor},
        statfs::{BPF_FS_MAGIC, statfs},
    },
};
use tcproute_common::LayoutVersion;

use super::sys;
use crate::workloads::cgroups::CgroupId;

/// The directory of pins, held by this process.
#[derive(Debug)]
pub struct PinDirectory {
    path: PathBuf,
    /// Dies with the process, however that ends: so a directory that can be locked has no daemon.
    _lock: Flock<File>,
}

/// What the maps that are pinned are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinnedLayout {
    /// What is in them.
    pub version: LayoutVersion,
    /// Of the map `outcomes`: raised whenever that is made anew.
    pub generation: u8,
}

/// What is pinned under this name is not in force yet: it takes the place of what is in one step.
const NEXT: &str = "next-";

const LINKS: &str = "links";

const LAYOUT: &str = "layout-";

const BEFORE: &str = "before-";

impl PinDirectory {
    /// Makes the directory, or takes over the one that a daemon has left.
    pub fn claim(bpffs: &Path) -> Result<Self> {
        if !is_mounted(bpffs) {
            let at = bpffs.display();
            bail!(
                "no bpffs is mounted at {at}: mount it with `mount -t bpf bpf {at}`, or name one with --bpffs"
            );
        }
        let pins = Self::lock(bpffs)?;
        pins.recover()?;
        Ok(pins)
    }

    fn lock(bpffs: &Path) -> Result<Self> {
        let path = directory(bpffs);
        make(&path)?;
        let directory = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let Ok(lock) = Flock::lock(directory, FlockArg::LockExclusiveNonblock) else {
            let pid = daemon(bpffs).map_or_else(String::new, |pid| format!(" with pid {pid}"));
            bail!("another tcproute is running on this node{pid}: it holds {}", path.display());
        };
        fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        Ok(Self { path, _lock: lock })
    }

    /// Ends what a daemon has begun that was killed: a commit is completed, and all else is taken back.
    fn recover(&self) -> Result<()> {
        self.complete()?;
        remove_next(&self.path)?;
        let links = self.path.join(LINKS);
        if !links.exists() {
            return Ok(());
        }
        names(&links)?.iter().try_for_each(|cgroup| remove_next(&links.join(cgroup)))
    }

    /// Where the map of that name is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where a map is pinned that is to take its place.
    pub fn next_map(&self, name: &str) -> PathBuf {
        self.path.join(format!("{NEXT}{name}"))
    }

    /// Where the map `outcomes` with that number is pinned that is to count on beside a larger one.
    pub fn next_before(&self, id: u32) -> PathBuf {
        self.next_map(&format!("{BEFORE}{id}"))
    }

    /// Where maps are pinned whose counts are not carried yet.
    pub fn before(&self) -> Result<Vec<PathBuf>> {
        let names = names(&self.path)?.into_iter().filter(|name| name.starts_with(BEFORE));
        Ok(names.map(|name| self.path.join(name)).collect())
    }

    /// Gives those maps up.
    pub fn remove_before(&self) -> Result<()> {
        self.before()?.iter().try_for_each(|path| remove(path))
    }

    /// Puts the maps that were pinned for it in place, and notes their layout: all of it or, if this process is killed
    /// before, nothing.
    pub fn commit(&self, layout: PinnedLayout) -> Result<()> {
        let layout = directory_of(layout);
        let names = names(&self.path)?;
        if names.contains(&layout) && !names.iter().any(|name| name.starts_with(NEXT)) {
            return Ok(());
        }
        // Whoever finds this completes what follows.
        make(&self.path.join(format!("{NEXT}{layout}")))?;
        self.complete()
    }

    /// Puts what was committed in place.
    fn complete(&self) -> Result<()> {
        let names = names(&self.path)?;
        let (next, present): (Vec<&str>, Vec<&str>) =
            names.iter().map(String::as_str).partition(|name| name.starts_with(NEXT));
        let place = |name: &'_ str| self.path.join(name.trim_start_matches(NEXT));
        let put = |name: &str| {
            fs::rename(self.path.join(name), place(name))
                .with_context(|| format!("cannot rename {}", self.path.join(name).display()))
        };
        let (layouts, mut maps): (Vec<&str>, Vec<&str>) =
            next.into_iter().partition(|name| name.trim_start_matches(NEXT).starts_with(LAYOUT));
        let [committed] = layouts[..] else { return Ok(()) };
        // As long as one is missing it can be seen whether these maps go on from others.
        let goes_on = |name: &&str| name.trim_start_matches(NEXT).starts_with(BEFORE);
        maps.sort_by_key(goes_on);
        if maps.last().is_some_and(|last| !goes_on(last)) {
            self.remove_before()?;
        }
        maps.into_iter().try_for_each(put)?;
        present
            .into_iter()
            .filter(|name| name.starts_with(LAYOUT))
            .try_for_each(|name| remove(&self.path.join(name)))?;
        put(committed)
    }

    /// Gives up what was pinned to take the place of something.
    pub fn discard_next(&self) -> Result<()> {
        remove_next(&self.path)
    }

    /// Has a daemon that starts before the next [`commit`](Self::commit) go on with nothing.
    pub fn invalidate(&self) -> Result<()> {
        let names = names(&self.path)?;
        let mut layouts = names.iter().filter(|name| name.starts_with(LAYOUT));
        layouts.try_for_each(|name| remove(&self.path.join(name)))
    }

    /// The layout of what is pinned; `None` if nothing is.
    pub fn layout(&self) -> Result<Option<PinnedLayout>> {
        let read = |name: String| {
            let mut numbers = name.strip_prefix(LAYOUT)?.split('-');
            let version = LayoutVersion {
                tables: numbers.next()?.parse().ok()?,
                states: numbers.next()?.parse().ok()?,
            };
            Some(PinnedLayout { version, generation: numbers.next()?.parse().ok()? })
        };
        Ok(names(&self.path)?.into_iter().find_map(read))
    }

    /// The cgroups that have links.
    pub fn cgroups(&self) -> Result<BTreeSet<CgroupId>> {
        let links = self.path.join(LINKS);
        if !links.exists() {
            return Ok(BTreeSet::new());
        }
        let names = names(&links)?;
        names
            .iter()
            .map(|name| name.parse().with_context(|| format!("{name} is no cgroup's number")))
            .collect()
    }

    /// Where the link of a program to a cgroup is pinned. The directory is made.
    pub fn link(&self, cgroup: CgroupId, hook: &str) -> Result<PathBuf> {
        let directory = self.path.join(LINKS).join(cgroup.to_string());
        make(&directory)?;
        Ok(directory.join(hook))
    }

    /// Where one is pinned that is to take its place.
    pub fn next_link(&self, cgroup: CgroupId, hook: &str) -> Result<PathBuf> {
        self.link(cgroup, &format!("{NEXT}{hook}"))
    }

    /// Detaches everything from a cgroup. From here on no program begins to run there.
    pub fn remove_links(&self, cgroup: CgroupId) -> Result<()> {
        let directory = self.path.join(LINKS).join(cgroup.to_string());
        if !directory.exists() {
            return Ok(());
        }
        let mut hooks = names(&directory)?;
        // What makes states before what ends them: so their names are.
        hooks.sort();
        for hook in hooks {
            // Where this fails the kernel detaches by itself what is unpinned, but later.
            let _ = sys::pinned(&directory.join(hook)).and_then(sys::detach_link);
        }
        remove(&directory)
    }

    /// Detaches everything, frees the maps and removes the directory.
    pub fn remove(self) -> Result<()> {
        // First what runs.
        self.cgroups().unwrap_or_default().into_iter().try_for_each(|cgroup| self.remove_links(cgroup))?;
        remove(&self.path)
    }
}

fn directory_of(PinnedLayout { version, generation }: PinnedLayout) -> String {
    format!("{LAYOUT}{}-{}-{generation}", version.tables, version.states)
}

fn make(directory: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.with_context(|| format!("cannot make {}", directory.display()))
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove {}", path.display())),
    }
}

/// Removes what is not in force.
fn remove_next(directory: &Path) -> Result<()> {
    let names = names(directory)?;
    let mut next = names.iter().filter(|name| name.starts_with(NEXT));
    next.try_for_each(|name| remove(&directory.join(name)))
}

/// Whether anything is pinned there.
pub fn exists(bpffs: &Path) -> bool {
    directory(bpffs).exists()
}

/// Whether there is a bpffs.
pub fn is_mounted(bpffs: &Path) -> bool {
    statfs(bpffs).is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC)
}

/// The pid of the daemon that holds the directory of pins, as far as this process may see it.
pub fn daemon(bpffs: &Path) -> Option<u32> {
    let metadata = fs::metadata(directory(bpffs)).ok()?;
    holder(&fs::read_to_string("/proc/locks").ok()?, metadata.dev(), metadata.ino())
}

/// Where links are pinned, by their cgroups.
pub(super) fn links(bpffs: &Path) -> PathBuf {
    directory(bpffs).join(LINKS)
}

fn directory(bpffs: &Path) -> PathBuf {
    bpffs.join("tcproute")
}

/// The pid in the line of `/proc/locks` (proc(5)) about a lock by flock(2) on this file.
fn holder(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let file = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    locks.lines().find_map(|line| {
        // `1: FLOCK  ADVISORY  WRITE 1234 00:2f:5678 0 EOF`; a waiting one has an arrow before its kind.
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(1) == Some(&"FLOCK") && fields.get(5) == Some(&file.as_str()))
            .then(|| fields[4].parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: PinnedLayout = PinnedLayout { version: LayoutVersion { tables: 2, states: 1 }, generation: 7 };

    /// What is pinned, and what is in it.
    fn contents(directory: &Path) -> Vec<(String, String)> {
        let mut names = names(directory).unwrap();
        names.sort();
        let read = |name: String| {
            let text = fs::read_to_string(directory.join(&name)).unwrap_or_default();
            (name, text)
        };
        names.into_iter().map(read).collect()
    }

    /// A daemon with two maps has replaced one that had one of them, but was killed after some of the steps.
    fn killed_after(steps: usize) -> Vec<(String, String)> {
        let bpffs = tempfile::tempdir().unwrap();
        let pins = PinDirectory::lock(bpffs.path()).unwrap();
        let at = |name: &str| pins.path.join(name);
        fs::write(at("routes"), "old").unwrap();
        fs::create_dir(at("layout-1-1-6")).unwrap();
        let link = pins.link(CgroupId::new(5), "connect4").unwrap();
        fs::write(&link, "").unwrap();
        let all: [&dyn Fn(); 8] = [
            &|| fs::write(pins.next_map("routes"), "new").unwrap(),
            &|| fs::write(pins.next_map("turns"), "new").unwrap(),
            &|| fs::write(pins.next_link(CgroupId::new(5), "connect4").unwrap(), "").unwrap(),
            &|| fs::create_dir(at("next-layout-2-1-7")).unwrap(),
            &|| fs::rename(at("next-turns"), at("turns")).unwrap(),
            &|| fs::rename(at("next-routes"), at("routes")).unwrap(),
            &|| fs::remove_dir(at("layout-1-1-6")).unwrap(),
            &|| fs::rename(at("next-layout-2-1-7"), at("layout-2-1-7")).unwrap(),
        ];
        all[..steps].iter().for_each(|step| step());
        pins.recover().unwrap();
        assert_eq!(contents(link.parent().unwrap()), [("connect4".to_owned(), String::new())]);
        contents(&pins.path)
    }

    #[test]
    fn a_commit_is_completed_or_taken_back_wherever_it_was_interrupted() {
        let owned = |entries: &[(&str, &str)]| -> Vec<(String, String)> {
            entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
        };
        let old = owned(&[("layout-1-1-6", ""), ("links", ""), ("routes", "old")]);
        let new = owned(&[("layout-2-1-7", ""), ("links", ""), ("routes", "new"), ("turns", "new")]);
        for steps in 0..=8 {
            assert_eq!(killed_after(steps), if steps < 4 { old.clone() } else { new.clone() }, "{steps}");
        }
    }

    /// What is pinned when a daemon that makes its maps larger was killed after some of the steps. An earlier growth was not
    /// done with, either.
    fn killed_in_growth_after(steps: usize) -> Vec<(String, String)> {
        let bpffs = tempfile::tempdir().unwrap();
        let pins = PinDirectory::lock(bpffs.path()).unwrap();
        let at = |name: &str| pins.path.join(name);
        fs::write(at("outcomes"), "2").unwrap();
        fs::write(at("before-1"), "1").unwrap();
        fs::create_dir(at("layout-2-1-7")).unwrap();
        let all: [&dyn Fn(); 5] = [
            &|| fs::write(pins.next_map("outcomes"), "3").unwrap(),
            &|| fs::write(pins.next_before(2), "2").unwrap(),
            &|| fs::create_dir(at("next-layout-2-1-7")).unwrap(),
            &|| fs::rename(at("next-outcomes"), at("outcomes")).unwrap(),
            &|| fs::rename(at("next-before-2"), at("before-2")).unwrap(),
        ];
        all[..steps].iter().for_each(|step| step());
        pins.recover().unwrap();
        contents(&pins.path).into_iter().filter(|(name, _)| !name.starts_with(LAYOUT)).collect()
    }

    #[test]
    fn growth_keeps_the_maps_that_still_count_and_maps_made_anew_do_not() {
        let owned = |entries: &[(&str, &str)]| -> Vec<(String, String)> {
            entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
        };
        let old = owned(&[("before-1", "1"), ("outcomes", "2")]);
        let new = owned(&[("before-1", "1"), ("before-2", "2"), ("outcomes", "3")]);
        for steps in 0..=5 {
            assert_eq!(
                killed_in_growth_after(steps),
                if steps < 3 { old.clone() } else { new.clone() },
                "{steps}"
            );
        }
        let bpffs = tempfile::tempdir().unwrap();
        let pins = PinDirectory::lock(bpffs.path()).unwrap();
        fs::write(pins.path.join("before-1"), "1").unwrap();
        fs::write(pins.next_map("outcomes"), "new").unwrap();
        pins.commit(NEW).unwrap();
        assert_eq!(pins.before().unwrap(), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_commit_replaces_the_maps_and_the_layout_even_if_that_has_the_same_name() {
        let bpffs = tempfile::tempdir().unwrap();
        let pins = PinDirectory::lock(bpffs.path()).unwrap();
        for round in ["a", "b"] {
            fs::write(pins.next_map("routes"), round).unwrap();
            pins.commit(NEW).unwrap();
            assert_eq!(pins.layout().unwrap(), Some(NEW));
            let expected = [("layout-2-1-7", ""), ("routes", round)];
            assert_eq!(contents(&pins.path), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        }
        pins.invalidate().unwrap();
        assert_eq!(pins.layout().unwrap(), None);
        pins.commit(NEW).unwrap();
        assert_eq!(pins.layout().unwrap(), Some(NEW));
    }

    #[test]
    fn the_holder_of_a_lock_is_found() {
        let locks = "\
1: POSIX  ADVISORY  WRITE 77 00:2f:5678 0 EOF
2: FLOCK  ADVISORY  WRITE 1234 00:2f:5678 0 EOF
2: -> FLOCK  ADVISORY  WRITE 4321 00:2f:5678 0 EOF
";
        assert_eq!(holder(locks, 0x2f, 5678), Some(1234));
        assert_eq!(holder(locks, 0x2f, 5679), None);
    }
}
