//! Cgroups of the unified hierarchy: finding the mount, naming a workload's cgroup, making one for a command.

use std::{
    fmt,
    fs::{self, File},
    io,
    num::ParseIntError,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use thiserror::Error;

/// Where cgroup2 is mounted: not always at `/sys/fs/cgroup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup2 {
    mount: PathBuf,
}

impl Cgroup2 {
    /// Reads `/proc/self/mountinfo` (proc(5)).
    pub fn find() -> Result<Self> {
        let path = "/proc/self/mountinfo";
        let mountinfo = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        match mount_of(&mountinfo) {
            Some(mount) => Ok(Self { mount }),
            None => bail!(
                "no cgroup2 is mounted: mount it with `mount -t cgroup2 none /sys/fs/cgroup`, \
                 or, beside cgroup v1, at a directory of your choice"
            ),
        }
    }

    #[cfg(test)]
    pub(super) fn at(mount: &Path) -> Self {
        Self { mount: mount.to_path_buf() }
    }

    /// Where it is mounted.
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// The cgroup that a user names: an absolute path below the mount, or a path from the hierarchy's root
    /// such as `/system.slice/frontend.service`.
    pub fn open(&self, named: &Path) -> Result<Cgroup, NoSuchCgroup> {
        let path = if named.starts_with(&self.mount) {
            named.to_path_buf()
        } else {
            self.mount.join(named.strip_prefix("/").unwrap_or(named))
        };
        let wrong = |reason: String| NoSuchCgroup { named: named.to_path_buf(), reason };
        if path.is_dir() && !path.join("cgroup.procs").exists() {
            return Err(wrong(format!("{} is not a cgroup2 directory", path.display())));
        }
        Cgroup::open(&path).map_err(|error| wrong(format!("cannot open {}: {error}", path.display())))
    }

    /// The cgroup of this process.
    pub fn own(&self) -> Result<Cgroup> {
        let path = "/proc/self/cgroup";
        let listing = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        let own = listing
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .with_context(|| format!("{path} names no cgroup of the unified hierarchy"))?;
        Ok(self.open(Path::new(own))?)
    }
}

/// The mount point of the cgroup2 file system that shows the whole hierarchy, in the text of mountinfo.
fn mount_of(mountinfo: &str) -> Option<PathBuf> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let root = fields.nth(3)?;
        let point = fields.next()?;
        file_system.starts_with("cgroup2 ").then(|| (root, PathBuf::from(unescape(point))))
    });
    mounts.min_by_key(|(root, point)| (*root != "/", point.as_os_str().len())).map(|(_, point)| point)
}

/// mountinfo writes space, tab, newline and backslash as octal.
fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// The kernel's number of a cgroup: the inode of its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CgroupId(u64);

impl CgroupId {
    pub(crate) const fn new(id: u64) -> Self {
        Self(id)
    }

    /// Of the cgroup whose directory this is, if there is one.
    pub fn of(directory: &Path) -> Option<Self> {
        fs::metadata(directory).ok().map(|metadata| Self(metadata.ino()))
    }

    /// As the kernel has it.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for CgroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CgroupId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

/// A name that leads to no cgroup.
#[derive(Debug, Error)]
#[error("cgroup {}: {reason}", named.display())]
pub struct NoSuchCgroup {
    named: PathBuf,
    reason: String,
}

/// A cgroup, held open.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    id: CgroupId,
    directory: File,
}

impl Cgroup {
    /// Of this directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let directory = File::open(path)?;
        let id = CgroupId(directory.metadata()?.ino());
        Ok(Self { path: path.to_path_buf(), id, directory })
    }

    /// Whether it has not been removed meanwhile. Another one of the same path does not count.
    pub fn exists(&self) -> bool {
        CgroupId::of(&self.path).is_some_and(|id| id == self.id)
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its number.
    pub const fn id(&self) -> CgroupId {
        self.id
    }

    /// Its directory, for attaching.
    pub fn directory(&self) -> impl AsFd {
        &self.directory
    }

    /// Moves this process into the cgroup.
    pub fn enter(&self) -> Result<()> {
        let procs = self.path.join("cgroup.procs");
        fs::write(&procs, "0").with_context(|| format!("cannot move into the cgroup {}", self.path.display()))
    }
}

/// A cgroup of our own making. When it is dropped, whatever still runs in it is killed and it is removed.
#[derive(Debug)]
pub struct TransientCgroup {
    cgroup: Cgroup,
}

/// How long killed processes get to vanish.
const EMPTYING: Duration = Duration::from_secs(5);

impl TransientCgroup {
    /// Below `parent`, with a name that this process alone uses.
    pub fn create(hierarchy: &Cgroup2, parent: &Cgroup) -> Result<Self> {
        let path = parent.path.join(format!("tcproute-exec-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make the cgroup {}", path.display()))?;
        match hierarchy.open(&path) {
            Ok(cgroup) => Ok(Self { cgroup }),
            Err(error) => {
                let _ = fs::remove_dir(&path);
                Err(error.into())
            }
        }
    }

    /// The cgroup itself.
    pub const fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Kills what still runs inside and removes the cgroup with those below it.
    fn remove(&self) -> Result<()> {
        let path = &self.cgroup.path;
        let deadline = Instant::now() + EMPTYING;
        while populated(path)? {
            if Instant::now() > deadline {
                bail!("processes in {} do not end", path.display());
            }
            // cgroup.kill is there from 5.14 on.
            if fs::write(path.join("cgroup.kill"), "1").is_err() {
                kill_all(path)?;
            }
            thread::sleep(Duration::from_millis(2));
        }
        remove_tree(path).with_context(|| format!("cannot remove the cgroup {}", path.display()))
    }
}

impl Drop for TransientCgroup {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!("{error:#}");
        }
    }
}

fn populated(cgroup: &Path) -> Result<bool> {
    let events = cgroup.join("cgroup.events");
    let text = fs::read_to_string(&events).with_context(|| format!("cannot read {}", events.display()))?;
    Ok(text.lines().any(|line| line == "populated 1"))
}

fn kill_all(cgroup: &Path) -> Result<()> {
    for pid in fs::read_to_string(cgroup.join("cgroup.procs"))?.lines() {
        // One that ended meanwhile is as good as killed.
        let _ = kill(Pid::from_raw(pid.parse()?), Signal::SIGKILL);
    }
    for child in child_cgroups(cgroup)? {
        kill_all(&child)?;
    }
    Ok(())
}

fn remove_tree(cgroup: &Path) -> io::Result<()> {
    for child in child_cgroups(cgroup)? {
        remove_tree(&child)?;
    }
    fs::remove_dir(cgroup)
}

fn child_cgroups(cgroup: &Path) -> io::Result<Vec<PathBuf>> {
    let mut children = Vec::new();
    for entry in fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            children.push(entry.path());
        }
    }
    Ok(children)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_mount_is_found_in_a_hybrid_layout() {
        let mountinfo = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw
";
        assert_eq!(mount_of(mountinfo), Some(PathBuf::from("/sys/fs/cgroup/unified")));
    }

    #[test]
    fn a_mount_of_the_whole_hierarchy_is_preferred() {
        let mountinfo = "\
41 31 0:38 /pod /a rw - cgroup2 cgroup2 rw
42 31 0:38 / /mnt/my\\040groups rw - cgroup2 none rw
";
        assert_eq!(mount_of(mountinfo), Some(PathBuf::from("/mnt/my groups")));
    }

    #[test]
    fn without_cgroup2_there_is_none() {
        assert_eq!(mount_of("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"), None);
    }
}
