//! The unified hierarchy: where it is mounted, and the cgroup that a user names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use thiserror::Error;

use super::Cgroup;

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
    pub(in crate::workloads) fn at(mount: &Path) -> Self {
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

/// A name that leads to no cgroup.
#[derive(Debug, Error)]
#[error("cgroup {}: {reason}", named.display())]
pub struct NoSuchCgroup {
    named: PathBuf,
    reason: String,
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
