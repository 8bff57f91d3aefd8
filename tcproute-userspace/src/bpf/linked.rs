//! Which cgroups the kernel has links to: another way to see that one is gone.

use std::path::{Path, PathBuf};

use super::{attach_types::HOOKS, pins, sys};
use crate::{known::Known, workloads::cgroups::CgroupId};

/// Links that are pinned, by their cgroups.
#[derive(Debug, Clone)]
pub struct PinnedLinks {
    directory: PathBuf,
}

impl PinnedLinks {
    /// Of the daemon that uses this bpffs.
    pub fn new(bpffs: &Path) -> Self {
        Self { directory: pins::links(bpffs) }
    }

    /// Whether the kernel still has the cgroup, by what its links say. One without links is none of ours, and as good as gone.
    pub fn cgroup(&self, cgroup: CgroupId) -> Known<()> {
        let directory = self.directory.join(cgroup.to_string());
        for (hook, _) in HOOKS {
            let asked = sys::pinned(&directory.join(hook)).and_then(sys::cgroup_of_link);
            match Known::of(asked) {
                Known::There(0) | Known::Gone => {}
                Known::There(_) => return Known::There(()),
                Known::Unknown(error) => return Known::Unknown(error),
            }
        }
        Known::Gone
    }
}
