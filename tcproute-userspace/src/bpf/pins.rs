//! What outlives the daemon: its maps and links, pinned under bpffs.
//!
//! ```text
//! <bpffs>/tcproute/             0700, locked by the daemon
//!     layout-2-2-0/             versions of the tables and of the sockets' states, and the generation of the counts
//!     routes, backends, …       maps, also for `bpftool map dump pinned`
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

use super::cgroup::CgroupId;

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

impl PinDirectory {
    /// Makes the directory, or takes over the one that a daemon has left.
    pub fn claim(bpffs: &Path) -> Result<Self> {
        if !is_mounted(bpffs) {
            let at = bpffs.display();
            bail!(
                "no bpffs is mounted at {at}: mount it with `mount -t bpf bpf {at}`, or name one with --bpffs"
            );
        }
        let path = directory(bpffs);
        make(&path)?;
        let directory = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let Ok(lock) = Flock::lock(directory, FlockArg::LockExclusiveNonblock) else {
            let pid = daemon(bpffs).map_or_else(String::new, |pid| format!(" with pid {pid}"));
            bail!("another tcproute is running on this node{pid}: it holds {}", path.display());
        };
        fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        let pins = Self { path, _lock: lock };
        // A daemon that was killed between two steps.
        for name in names(&pins.path)?.into_iter().filter(|name| name.starts_with(NEXT)) {
            remove(&pins.path.join(name))?;
        }
        Ok(pins)
    }

    /// Where the map of that name is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where a map is pinned that is to take its place.
    pub fn next_map(&self, name: &str) -> PathBuf {
        self.path.join(format!("{NEXT}{name}"))
    }

    /// Puts the maps that were pinned for it in place, and notes their layout.
    pub fn commit(&self, layout: PinnedLayout) -> Result<()> {
        for name in names(&self.path)? {
            if let Some(place) = name.strip_prefix(NEXT) {
                let (from, to) = (self.path.join(&name), self.path.join(place));
                fs::rename(&from, &to).with_context(|| format!("cannot rename {}", from.display()))?;
            } else if name.starts_with("layout-") && name != directory_of(layout) {
                fs::remove_dir(self.path.join(name))?;
            }
        }
        make(&self.path.join(directory_of(layout)))
    }

    /// The layout of what is pinned; `None` if nothing is.
    pub fn layout(&self) -> Result<Option<PinnedLayout>> {
        let read = |name: String| {
            let mut numbers = name.strip_prefix("layout-")?.split('-');
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

    /// Detaches everything from a cgroup.
    pub fn remove_links(&self, cgroup: CgroupId) -> Result<()> {
        remove(&self.path.join(LINKS).join(cgroup.to_string()))
    }

    /// Detaches everything, frees the maps and removes the directory.
    pub fn remove(self) -> Result<()> {
        // First what runs.
        let links = self.path.join(LINKS);
        if links.exists() {
            remove(&links)?;
        }
        remove(&self.path)
    }
}

fn directory_of(PinnedLayout { version, generation }: PinnedLayout) -> String {
    format!("layout-{}-{}-{generation}", version.tables, version.states)
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
