//! Which cgroups the kernel has links to: another way to see that one is gone.

use std::io;

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

    /// Whether the kernel still has the cgroup, by what its links say. One without links is none of ours, and as good
    /// as gone.
    pub fn cgroup(&self, cgroup: CgroupId) -> Known<()> {
        for (hook, _) in HOOKS {
            for place in self.directories.places(cgroup, hook) {
                match Known::of(sys::pinned(&place).and_then(sys::cgroup_link)) {
                    Known::There(Some(link)) if link.cgroup == 0 => {}
                    Known::Gone => {}
                    Known::There(Some(_)) => return Known::There(()),
                    Known::There(None) => {
                        return Known::Unknown(io::Error::other("it is no link to a cgroup"));
                    }
                    Known::Unknown(error) => return Known::Unknown(error),
                }
            }
        }
        Known::Gone
    }
}
