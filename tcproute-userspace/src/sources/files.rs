//! Files, and the YAML and JSON files of directories.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
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

/// What tells one state of a file from another: where it is, its size and when it was changed.
pub(super) type Stamp = (PathBuf, Option<(u64, u64, u64, i64, i64)>);

/// The stamps of the files that these paths name.
pub(super) fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: PathBuf| {
        let metadata = fs::metadata(&path).ok();
        let stamp = metadata.map(|m| (m.dev(), m.ino(), m.size(), m.ctime(), m.ctime_nsec()));
        (path, stamp)
    };
    list(paths, &mut Vec::new()).into_iter().map(stamp).collect()
}

/// Whether somebody writes the file in place and has got no further than to truncate it. It is valid without a document,
/// so nothing else would tell.
pub(super) fn is_truncated((_, stamp): &Stamp, now: SystemTime) -> bool {
    let Some((_, _, 0, seconds, nanoseconds)) = *stamp else { return false };
    let since = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok());
    let since = since.map(|(seconds, nanoseconds)| UNIX_EPOCH + Duration::new(seconds, nanoseconds));
    since.is_some_and(|since| now.duration_since(since).is_ok_and(|age| age < limits::SETTLE))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_counts_as_truncated_while_it_is_young() {
        let stamp = |size, seconds| (PathBuf::from("x"), Some((1, 2, size, seconds, 0)));
        let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        assert!(is_truncated(&stamp(0, 100), at(100_100)));
        assert!(!is_truncated(&stamp(0, 100), at(100_600)));
        assert!(!is_truncated(&stamp(1, 100), at(100_100)));
        assert!(!is_truncated(&stamp(0, 100), at(99_000)), "by a clock that was set back");
        assert!(!is_truncated(&(PathBuf::from("x"), None), at(100_100)));
    }
}
