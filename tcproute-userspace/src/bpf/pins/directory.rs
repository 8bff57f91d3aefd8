//! A directory that is held open: what is done in it is done there, wherever its path leads meanwhile.
//!
//! No symbolic link is followed. bpf(2) takes paths; those that it is given go by the descriptor, through
//! `/proc/self/fd`.

use std::{
    ffi::{OsStr, OsString},
    fmt::{self, Display},
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, renameat},
    libc::{EACCES, EINVAL},
    sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat},
    unistd::{UnlinkatFlags, geteuid, unlinkat},
};
// nix has it for glibc alone.
use rustix::fs::RenameFlags;

use crate::bpf::sys::{self, Kind};

/// See the module.
#[derive(Debug)]
pub(super) struct Directory {
    file: File,
    /// For people.
    path: PathBuf,
}

/// What tells one directory from all others, and whether names in it have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

/// What there is under a name.
#[derive(Debug)]
pub(super) enum Entry {
    Nothing,
    Directory,
    Map(OwnedFd, Kind),
    Link(OwnedFd),
    /// Nothing that a tcproute has put there, and what it is.
    Foreign(String),
}

const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

impl Directory {
    /// The one at this path, which is the operator's and may lead through symbolic links.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(path)?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// A directory that a descriptor stands for.
    pub(super) fn of(descriptor: OwnedFd, path: PathBuf) -> Self {
        Self { file: descriptor.into(), path }
    }

    /// The same once more.
    pub(super) fn again(&self) -> Result<Self> {
        let file = self.file.try_clone().with_context(|| format!("cannot open {self}"))?;
        Ok(Self { file, path: self.path.clone() })
    }

    /// A directory in it, if there is one.
    pub(super) fn child(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>> {
        let name = name.as_ref();
        match openat(&self.file, name, DIRECTORY, Mode::empty()) {
            Ok(descriptor) => Ok(Some(Self::of(descriptor, self.shown(name)))),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot open {}", self.shown(name).display())),
        }
    }

    /// A directory in it. It is made if there is none.
    pub(super) fn make_child(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let name = name.as_ref();
        self.make(name)?;
        self.child(name)?.with_context(|| format!("{} has vanished", self.shown(name).display()))
    }

    /// Makes a directory in it, unless there is something of that name.
    pub(super) fn make(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = name.as_ref();
        match mkdirat(&self.file, name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot make {}", self.shown(name).display())),
        }
    }

    /// All names in it, sorted.
    pub(super) fn names(&self) -> Result<Vec<OsString>> {
        let reading = || format!("cannot read {}", self.path.display());
        let entries = fs::read_dir(self.place(".")).with_context(reading)?;
        let names = entries.map(|entry| Ok(entry.with_context(reading)?.file_name()));
        let mut names = names.collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// What there is under a name, opened if it is of bpf(2).
    pub(super) fn entry(&self, name: impl AsRef<OsStr>) -> Result<Entry> {
        let name = name.as_ref();
        let at = || format!("cannot open {}", self.shown(name).display());
        // Held, so that what is looked at is what is opened.
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let held: File = match openat(&self.file, name, flags, Mode::empty()) {
            Ok(held) => held.into(),
            Err(Errno::ENOENT) => return Ok(Entry::Nothing),
            Err(error) => return Err(error).with_context(at),
        };
        let found = held.metadata().with_context(at)?;
        if found.uid() != geteuid().as_raw() {
            return Ok(Entry::Foreign(format!("it is of the user {}", found.uid())));
        }
        if found.is_dir() {
            return Ok(Entry::Directory);
        }
        if !found.is_file() {
            return Ok(Entry::Foreign("it is a symbolic link or a special file".to_owned()));
        }
        let object = match sys::pinned(Path::new(&format!("/proc/self/fd/{}", held.as_raw_fd()))) {
            Ok(object) => object,
            // What is pinned there no user may open. EPERM is said of this process, and not of what is there.
            Err(error) if matches!(error.raw_os_error(), Some(EINVAL | EACCES)) => {
                return Ok(Entry::Foreign(format!("it cannot be opened: {error}")));
            }
            Err(error) => return Err(error).with_context(at),
        };
        Ok(match sys::kind(&object).with_context(at)? {
            kind @ Kind::Map { .. } => Entry::Map(object, kind),
            Kind::Link => Entry::Link(object),
            Kind::Other => Entry::Foreign("it is neither a map nor a link".to_owned()),
        })
    }

    /// What the file system says of a name, which is not followed.
    pub(super) fn status(&self, name: impl AsRef<OsStr>) -> Result<Option<FileStat>> {
        match fstatat(&self.file, name.as_ref(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("cannot look at {}", self.shown(name).display()))
            }
        }
    }

    /// Of a directory in it.
    pub(super) fn stamp_of(&self, name: impl AsRef<OsStr>) -> Result<Option<Stamp>> {
        let status = self.status(name)?.filter(is_directory);
        Ok(status.map(|status| Stamp {
            device: status.st_dev,
            inode: status.st_ino,
            modified: (status.st_mtime, status.st_mtime_nsec),
        }))
    }

    pub(super) fn stamp(&self) -> Result<Stamp> {
        let metadata =
            self.file.metadata().with_context(|| format!("cannot look at {}", self.path.display()))?;
        Ok(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }

    /// Puts a name in the place of another one.
    pub(super) fn rename(&self, from: impl AsRef<OsStr>, to: &Self, name: impl AsRef<OsStr>) -> Result<()> {
        let from = from.as_ref();
        renameat(&self.file, from, &to.file, name.as_ref())
            .with_context(|| format!("cannot rename {}", self.shown(from).display()))
    }

    /// The same, but to a name that is free.
    pub(super) fn rename_to_free(&self, from: &OsStr, to: &Self, name: &OsStr) -> nix::Result<()> {
        let renamed = rustix::fs::renameat_with(&self.file, from, &to.file, name, RenameFlags::NOREPLACE);
        renamed.map_err(|error| Errno::from_raw(error.raw_os_error()))
    }

    /// Removes what there is under a name, with all that is in it.
    pub(super) fn remove(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = name.as_ref();
        let removing = || format!("cannot remove {}", self.shown(name).display());
        let removed = match self.status(name)? {
            None => return Ok(()),
            // It does not follow symbolic links, either.
            Some(status) if is_directory(&status) => fs::remove_dir_all(self.place(name)),
            Some(_) => unlinkat(&self.file, name, UnlinkatFlags::NoRemoveDir).map_err(io::Error::from),
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.with_context(removing),
        }
    }

    /// Removes a directory that has nothing in it. `false` if it is something else.
    pub(super) fn remove_empty(&self, name: &OsStr) -> bool {
        unlinkat(&self.file, name, UnlinkatFlags::RemoveDir).is_ok()
    }

    /// Where bpf(2) finds that name.
    pub(super) fn place(&self, name: impl AsRef<OsStr>) -> PathBuf {
        Path::new("/proc/self/fd").join(self.file.as_raw_fd().to_string()).join(name.as_ref())
    }

    /// A path to show.
    pub(super) fn shown(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref())
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }
}

impl Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl Stamp {
    /// Whether it is of the same directory.
    pub(super) const fn is_of(&self, other: &Self) -> bool {
        self.device == other.device && self.inode == other.inode
    }

    /// Whether whatever comes next in the directory will change it: its clock ticks some hundred times a second.
    pub(super) fn is_settled(&self, now: (i64, i64)) -> bool {
        let (seconds, nanoseconds) = (now.0 - self.modified.0, now.1 - self.modified.1);
        seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds) > 100_000_000
    }
}

pub(super) const fn is_directory(status: &FileStat) -> bool {
    status.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_stamp_counts_once_its_clock_has_ticked() {
        let stamp = Stamp { device: 1, inode: 2, modified: (10, 950_000_000) };
        assert!(!stamp.is_settled((10, 960_000_000)) && !stamp.is_settled((11, 40_000_000)));
        assert!(stamp.is_settled((11, 60_000_000)));
        assert!(!stamp.is_settled((9, 0)), "the clock was set back");
    }

    #[test]
    fn no_symbolic_link_is_followed() {
        let (directory, victim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(victim.path().join("precious"), "").unwrap();
        symlink(victim.path(), directory.path().join("links")).unwrap();
        let opened = Directory::open(directory.path()).unwrap();
        assert!(opened.child("links").is_err() && opened.make_child("links").is_err());
        assert!(matches!(opened.entry("links").unwrap(), Entry::Foreign(_)));
        assert!(opened.stamp_of("links").unwrap().is_none());
        opened.remove("links").unwrap();
        assert!(victim.path().join("precious").exists() && opened.names().unwrap().is_empty());
    }
}
