//! Files, and the YAML and JSON files of directories.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{error::InputError, limits, node::Mark};

/// The files that these paths name, in a stable order and each once. Of a directory its own YAML and JSON
/// files, through symbolic links, without hidden ones: a mounted ConfigMap looks like that.
pub(super) fn list(paths: &[PathBuf], errors: &mut Vec<InputError>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => match list_directory(path) {
                Ok(found) if found.is_empty() => {
                    errors.push(InputError::new(
                        path,
                        None,
                        "no *.yaml, *.yml or *.json file in this directory",
                    ));
                }
                Ok(found) => files.extend(found),
                Err(error) => errors.push(cannot_read(path, &error)),
            },
            Ok(_) => files.push(path.clone()),
            Err(error) => errors.push(cannot_read(path, &error)),
        }
    }
    // A directory and a file in it may both be named.
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(fs::canonicalize(file).unwrap_or_else(|_| file.clone())));
    files
}

fn list_directory(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let known =
            path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        // A link that leads nowhere is no file, but one to complain of.
        let is_file = fs::metadata(&path).map_or(true, |metadata| metadata.is_file());
        if !hidden && known && is_file {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What tells one state of a file from another: where it is and, if it is there, which it is, its size and when it was
/// changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) path: PathBuf,
    pub(super) file: Option<FileStamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileStamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Seconds since the epoch, and nanoseconds.
    pub(super) changed: (i64, i64),
}

/// The stamps of the files that these paths name.
pub(super) fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: PathBuf| {
        let file = fs::metadata(&path).ok().map(|metadata| FileStamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        });
        Stamp { path, file }
    };
    list(paths, &mut Vec::new()).into_iter().map(stamp).collect()
}

/// The bytes of a file, unless there are too many of them.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, InputError> {
    let read = || {
        let file = File::open(path)?;
        let mut bytes = Vec::new();
        // Its size tells whether to begin at all; but a device or a pipe has none.
        let most = limits::FILE as u64;
        let size = file.metadata()?.len();
        if size <= most {
            file.take(most + 1).read_to_end(&mut bytes)?;
        }
        io::Result::Ok((size <= most && bytes.len() <= limits::FILE).then_some(bytes))
    };
    match read() {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(InputError::new(path, None, format!("is larger than {} MiB", limits::FILE >> 20))),
        Err(error) => Err(cannot_read(path, &error)),
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> InputError {
    InputError::new(path, None, format!("cannot read: {error}"))
}

/// The text of a file, without a byte order mark.
pub(super) fn text<'b>(path: &Path, bytes: &'b [u8]) -> Result<&'b str, InputError> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let before = str::from_utf8(&bytes[..at]).unwrap_or_default();
        let message = format!("is not UTF-8: the byte at offset {at} is wrong");
        InputError::new(path, Some(Mark::behind(before)), message)
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}
