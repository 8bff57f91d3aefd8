//! The pins of a running daemon: its maps, under bpffs, for `bpftool map dump pinned`.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::statfs::{BPF_FS_MAGIC, statfs},
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
        let is_bpffs = statfs(bpffs).is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC);
        if !is_bpffs {
            let at = bpffs.display();
            bail!(
                "no bpffs is mounted at {at}: mount it with `mount -t bpf bpf {at}`, or name one with --bpffs"
            );
        }
        let path = bpffs.join("tcproute");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        let directory = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let Ok(lock) = Flock::lock(directory, FlockArg::LockExclusiveNonblock) else {
            bail!("another tcproute is running on this node: it holds {}", path.display());
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

impl Drop for PinDirectory {
    fn drop(&mut self) {
        if let Err(error) = self.empty().and_then(|()| Ok(fs::remove_dir(&self.path)?)) {
            tracing::warn!("{error:#}");
        }
    }
}
