//! A bpffs of the daemon's own, mounted nowhere, in which all links are pinned a second time.
//!
//! The kernel detaches a program when its link has neither a pin nor a file descriptor. Six files a workload would be
//! too many; so one descriptor of this bpffs keeps them all, whoever removes the pins that can be seen. It ends with
//! the daemon.

use std::io;

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use super::directory::Directory;

/// Such a bpffs.
#[derive(Debug)]
pub struct SpareBpffs(pub(super) Directory);

impl SpareBpffs {
    /// Makes it. That needs CAP_SYS_ADMIN, and using it does not.
    pub fn mount() -> io::Result<Self> {
        let context = fsopen("bpf", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let mounted = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        Ok(Self(Directory::of(mounted, "(the bpffs of the daemon)".into())))
    }
}
