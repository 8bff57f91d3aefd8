//! Which cgroups the kernel has links to: another way to see that one is gone.

use super::{attach_types::HOOKS, pins::LinkDirectories, sys};
use crate::{known::Known, workloads::cgroups::CgroupId};

/// Links that are pinned, by their cgroups.
#[derive(Debug, Clone)]
pub struct PinnedLinks {
    directories: LinkDirectories,
}

impl PinnedLinks {
    /// In these directories.
    pub const fn new(directories: LinkDirectories) -> Self {
        Self { directories }
    }

    /// Whether the kernel still has the cgroup, by what its links say. One without links is none of ours, and as good as gone.
    pub fn cgroup(&self, cgroup: CgroupId) -> Known<()> {
        for (hook, _) in HOOKS {
            for place in self.directories.places(cgroup, hook) {
                let asked = sys::pinned(&place).and_then(sys::cgroup_of_link);
                match Known::of(asked) {
                    Known::There(0) | Known::Gone => {}
                    Known::There(_) => return Known::There(()),
                    Known::Unknown(error) => return Known::Unknown(error),
                }
            }
        }
        Known::Gone
    }
}
