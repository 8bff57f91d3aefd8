//! Files, and the YAML and JSON files of directories.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use super::error::{InputError, Place};

/// The files that these paths name, in a stable order and each once. Of a directory its own YAML and JSON
/// files, through symbolic links, without hidden ones: a mounted ConfigMap looks like that.
pub(super) fn list(paths: &[PathBuf], errors: &mut Vec<InputError>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => match list_directory(path) {
                Ok(found) if found.is_empty() => {
                    errors.push(Place::file(path).error("no *.yaml, *.yml or *.json file in this directory"));
                }
                Ok(found) => files.extend(found),
                Err(error) => errors.push(Place::file(path).error(format!("cannot read: {error}"))),
            },
            Ok(_) => files.push(path.clone()),
            Err(error) => errors.push(Place::file(path).error(format!("cannot read: {error}"))),
        }
    }
    // A directory and a file in it may both be named.
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(fs::canonicalize(file).unwrap_or_else(|_| file.clone())));
    files
}

fn list_directory(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
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

/// The text of a file, without a byte order mark.
pub(super) fn read(path: &Path, errors: &mut Vec<InputError>) -> Option<String> {
    let text = match fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => {
            let at = error.utf8_error().valid_up_to();
            errors.push(Place::file(path).error(format!("is not UTF-8: the byte at offset {at} is wrong")));
            return None;
        }
        Err(error) => {
            errors.push(Place::file(path).error(format!("cannot read: {error}")));
            return None;
        }
    };
    Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
