//! A cgroup and its number.

use std::{
    fmt,
    fs::{self, File},
    io,
    num::ParseIntError,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, Result};

use crate::known::Known;

/// The kernel's number of a cgroup: the inode of its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CgroupId(u64);

impl CgroupId {
    #[cfg(test)]
    pub(crate) const fn new(id: u64) -> Self {
        Self(id)
    }

    /// Of the cgroup whose directory this is.
    pub fn of(directory: &Path) -> Known<Self> {
        Known::of(fs::metadata(directory)).map(|metadata| Self(metadata.ino()))
    }

    /// As a link has it: 0 stands for a cgroup that is gone.
    pub(crate) const fn of_link(number: u64) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
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

    /// Whether it has been removed meanwhile. Another one of the same path does not count.
    pub fn is_gone(&self) -> bool {
        match CgroupId::of(&self.path) {
            Known::There(id) => id != self.id,
            Known::Gone => true,
            Known::Unknown(_) => false,
        }
    }

    /// Whether there are processes in it, or below (`cgroup.events` of cgroups(7)).
    pub fn has_processes(&self) -> bool {
        let events = fs::read_to_string(self.path.join("cgroup.events")).unwrap_or_default();
        events.lines().any(|line| line == "populated 1")
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
