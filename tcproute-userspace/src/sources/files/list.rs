//! Which files there are: those that were named, and the YAML and JSON files of directories.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::super::{
    documents::limits::{FILE, LEAST_FILE},
    error::InputError,
};

/// A file by what was named and where it is. In the order in which files are read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// Which of the paths that were named leads to it.
    pub(super) named: usize,
    pub(super) path: PathBuf,
}

/// What is seen of the files at one moment, without reading them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    /// In their order, each file once.
    pub(super) files: Vec<Stamp>,
    pub(super) nothing: Vec<Nothing>,
}

/// A file and its state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) place: Place,
    pub(super) state: State,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    There(FileStamp),
    /// A link to it leads nowhere.
    Gone,
    /// It cannot be told.
    Unknown(i32),
}

/// Which file it is, its size and when it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileStamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Seconds since the epoch, and nanoseconds.
    pub(super) changed: (i64, i64),
}

/// A path that was named and leads to no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nothing {
    /// Which of the paths.
    pub(super) named: usize,
    pub(super) error: InputError,
    /// Whether it is certain that there is nothing. Otherwise it cannot be told, and what was there may still be.
    pub(super) certain: bool,
}

/// The files that these paths name, in a stable order and each once. Of a directory its own YAML and JSON
/// files, through symbolic links, without hidden ones: a mounted ConfigMap looks like that.
pub(super) fn look(paths: &[PathBuf]) -> Look {
    let mut look = Look { files: Vec::new(), nothing: Vec::new() };
    // A directory and a file in it may both be named.
    let mut seen = HashSet::new();
    for (named, path) in paths.iter().enumerate() {
        match look_at(path) {
            Ok(found) if found.is_empty() => {
                let error = InputError::new(path, None, "no *.yaml, *.yml or *.json file in this directory");
                look.nothing.push(Nothing { named, error, certain: true });
            }
            Ok(found) => {
                let stamps =
                    found.into_iter().map(|(path, state)| Stamp { place: Place { named, path }, state });
                look.files.extend(stamps.filter(|stamp| match stamp.state {
                    State::There(FileStamp { device, inode, .. }) => seen.insert((device, inode)),
                    State::Gone | State::Unknown(_) => true,
                }));
            }
            Err(error) => {
                let certain = error.kind() == io::ErrorKind::NotFound;
                look.nothing.push(Nothing { named, error: cannot_read(path, &error), certain });
            }
        }
    }
    look
}

fn look_at(path: &Path) -> io::Result<Vec<(PathBuf, State)>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(vec![(path.to_path_buf(), State::There(FileStamp::of(&metadata)))]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let known =
            path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if hidden || !known {
            continue;
        }
        let state = match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => continue,
            Ok(metadata) => State::There(FileStamp::of(&metadata)),
            // A link that leads nowhere is no file, but one to complain of.
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::Gone,
            Err(error) => State::Unknown(error.raw_os_error().unwrap_or_default()),
        };
        files.push((path, state));
    }
    files.sort();
    Ok(files)
}

impl FileStamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl State {
    /// How much room it takes among all files.
    pub(super) fn weight(&self) -> u64 {
        match self {
            // One that is too large is not read.
            Self::There(FileStamp { size, .. }) if *size > FILE as u64 => LEAST_FILE,
            Self::There(FileStamp { size, .. }) => (*size).max(LEAST_FILE),
            Self::Gone | Self::Unknown(_) => 0,
        }
    }
}

pub(super) fn cannot_read(path: &Path, error: &io::Error) -> InputError {
    InputError::new(path, None, format!("cannot read: {error}"))
}
