//! The unified hierarchy: where it is mounted, and the cgroup that a user names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    sys::statfs::{CGROUP2_SUPER_MAGIC, statfs},
};
use thiserror::Error;

use super::Cgroup;

/// Where cgroup2 is mounted: not always at `/sys/fs/cgroup`, and perhaps more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup2 {
    mount: PathBuf,
    /// Other mounts, by which cgroups may be named.
    others: Vec<PathBuf>,
}

impl Cgroup2 {
    /// Reads `/proc/self/mountinfo` (proc(5)).
    pub fn find() -> Result<Self> {
        let path = "/proc/self/mountinfo";
        let mountinfo = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        match mounts(&mountinfo).split_first() {
            Some((mount, others)) => Ok(Self { mount: mount.clone(), others: others.to_vec() }),
            None => bail!(
                "no cgroup2 is mounted: mount it with `mount -t cgroup2 none /sys/fs/cgroup`, \
                 or, beside cgroup v1, at a directory of your choice"
            ),
        }
    }

    #[cfg(test)]
    pub(in crate::workloads) fn at(mount: &Path) -> Self {
        Self { mount: mount.to_path_buf(), others: Vec::new() }
    }

    /// Where it is mounted.
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// Whether it still is. Where that cannot be told, it is.
    pub fn is_mounted(&self) -> bool {
        match statfs(&self.mount) {
            Ok(stat) => stat.filesystem_type() == CGROUP2_SUPER_MAGIC,
            Err(error) => !matches!(error, Errno::ENOENT | Errno::ENOTDIR),
        }
    }

    /// The path from the hierarchy's root to what a user names: an absolute path below a mount, or such a path.
    pub fn below<'p>(&self, named: &'p Path) -> &'p Path {
        let mounts = [&self.mount].into_iter().chain(&self.others);
        let below = mounts.filter_map(|mount| named.strip_prefix(mount).ok());
        // Of mounts inside of each other the inner one is meant.
        below.min_by_key(|below| below.as_os_str().len()).unwrap_or(named)
    }

    /// The cgroup that a user names: an absolute path below a mount, or a path from the hierarchy's root such as
    /// `/system.slice/frontend.service`.
    pub fn open(&self, named: &Path) -> Result<Cgroup, NoSuchCgroup> {
        let below = self.below(named);
        let path = self.mount.join(below.strip_prefix("/").unwrap_or(below));
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

/// The mount points of cgroup2 in the text of mountinfo that show the whole hierarchy; if none does, those that show a
/// part. First those at the usual place: others, such as that of a container runtime, may go.
fn mounts(mountinfo: &str) -> Vec<PathBuf> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let root = fields.nth(3)?;
        let point = fields.next()?;
        file_system.starts_with("cgroup2 ").then(|| (root == "/", PathBuf::from(unescape(point))))
    });
    let (whole, parts): (Vec<_>, Vec<_>) = mounts.partition(|(is_whole, _)| *is_whole);
    let chosen = if whole.is_empty() { parts } else { whole };
    let mut points: Vec<PathBuf> = chosen.into_iter().map(|(_, point)| point).collect();
    points.sort_by_key(|point| (!point.starts_with("/sys/fs/cgroup"), point.as_os_str().len()));
    points
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
        assert_eq!(mounts(mountinfo), [Path::new("/sys/fs/cgroup/unified")]);
    }

    #[test]
    fn a_mount_of_the_whole_hierarchy_is_preferred() {
        let mountinfo = "\
41 31 0:38 /pod /a rw - cgroup2 cgroup2 rw
42 31 0:38 / /mnt/my\\040groups rw - cgroup2 none rw
";
        assert_eq!(mounts(mountinfo), [Path::new("/mnt/my groups")]);
    }

    #[test]
    fn a_path_below_any_mount_is_one_from_the_root() {
        let mountinfo = "\
41 31 0:38 / /c rw - cgroup2 cgroup2 rw
42 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 none rw
43 31 0:38 / /c/inner rw - cgroup2 none rw
";
        let mounts = mounts(mountinfo);
        assert_eq!(mounts[0], Path::new("/sys/fs/cgroup/unified"), "and not the shortest");
        let hierarchy = Cgroup2 { mount: mounts[0].clone(), others: mounts[1..].to_vec() };
        for named in ["/c/web", "/c/inner/web", "/sys/fs/cgroup/unified/web", "web"] {
            assert_eq!(hierarchy.below(Path::new(named)), Path::new("web"), "{named}");
        }
        assert_eq!(hierarchy.below(Path::new("/web")), Path::new("/web"));
    }

    #[test]
    fn without_cgroup2_there_is_none() {
        assert!(mounts("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n").is_empty());
    }
}
