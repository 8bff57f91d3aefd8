//! The pins of a running daemon: its maps, under bpffs, for `bpftool map dump pinned`.

use std::{
    fs::{self, DirBuilder, File, Permissions},
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

/// The directory of pins, `<bpffs>/tcproute`, with mode 0700. It is emptied and removed when this is dropped.
#[derive(Debug)]
pub struct PinDirectory {
    path: PathBuf,
    /// Dies with the process, however that ends: so a directory that can be locked is left over.
    _lock: Flock<File>,
}

impl PinDirectory {
    /// Makes the directory, or takes over the one that a killed daemon left.
    pub fn claim(bpffs: &Path) -> Result<Self> {
        if !is_mounted(bpffs) {
            let at = bpffs.display();
            bail!(
                "no bpffs is mounted at {at}: mount it with `mount -t bpf bpf {at}`, or name one with --bpffs"
            );
        }
        let path = directory(bpffs);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        let directory = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let Ok(lock) = Flock::lock(directory, FlockArg::LockExclusiveNonblock) else {
            let pid = daemon(bpffs).map_or_else(String::new, |pid| format!(" with pid {pid}"));
            bail!("another tcproute is running on this node{pid}: it holds {}", path.display());
        };
        fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        let pins = Self { path, _lock: lock };
        pins.empty()?;
        Ok(pins)
    }

    /// Where the pin of that name belongs.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn empty(&self) -> Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }
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

impl Drop for PinDirectory {
    fn drop(&mut self) {
        if let Err(error) = self.empty().and_then(|()| Ok(fs::remove_dir(&self.path)?)) {
            tracing::warn!("{error:#}");
        }
    }
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
