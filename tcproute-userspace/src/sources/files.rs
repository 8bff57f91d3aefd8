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

/// Whether the stamp does not tell yet what is in the file.
///
/// Changes within one tick of the kernel's clock have the same time, so only of a file that has not just been changed a later
/// change is seen. And one that is empty may be so because somebody writes it in place and has got no further than to
/// truncate it; it is valid without a document, so nothing else would tell.
pub(super) fn is_unsettled((_, stamp): &Stamp, now: SystemTime) -> bool {
    let Some((_, _, size, seconds, nanoseconds)) = *stamp else { return false };
    let since = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok());
    let since = since.map(|(seconds, nanoseconds)| UNIX_EPOCH + Duration::new(seconds, nanoseconds));
    let age = since.and_then(|since| now.duration_since(since).ok());
    age.is_some_and(|age| age < if size == 0 { limits::SETTLE } else { TICK })
}

/// A tick of the slowest clock (`CONFIG_HZ=100`), by which files are stamped before 6.13, and a little more.
const TICK: Duration = Duration::from_millis(12);

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
    fn a_file_that_was_just_changed_and_one_that_is_empty_are_looked_at_again() {
        let stamp = |size, seconds| (PathBuf::from("x"), Some((1, 2, size, seconds, 0)));
        let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        assert!(is_unsettled(&stamp(0, 100), at(100_100)));
        assert!(!is_unsettled(&stamp(0, 100), at(100_600)));
        assert!(is_unsettled(&stamp(1, 100), at(100_010)));
        assert!(!is_unsettled(&stamp(1, 100), at(100_012)));
        assert!(!is_unsettled(&stamp(0, 100), at(99_000)), "by a clock that was set back");
        assert!(!is_unsettled(&(PathBuf::from("x"), None), at(100_100)));
    }
}
