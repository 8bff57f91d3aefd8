//! Where resources come from: files, and DNS for the addresses behind names.

pub mod dns;
mod documents;
mod error;
mod files;
mod lenient;
mod limits;
mod merge_key;
mod node;
mod notes;
mod path;
mod scalar;
mod settled;
pub mod snapshot;
mod watch;
mod yaml;

use std::{
    collections::{HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    rc::Rc,
};

pub use error::{InputError, InputErrors};
pub use notes::Strictness;
pub use settled::SettledFiles;
pub use watch::Watch;

use crate::resources::{Identity, Resources};
use documents::{Content, Object, Outcome};
use node::Mark;

/// Reads all resources of these files and directories, or tells everything that is wrong with them.
pub fn load(paths: &[PathBuf]) -> Result<Resources, InputErrors> {
    read(paths, Strictness::Strict).finish()
}

/// As [`load`], from the bytes of one file, which `name` stands for in errors.
pub fn parse(name: &Path, bytes: &[u8]) -> Result<Resources, InputErrors> {
    let mut reading = Reading::default();
    reading.file(name, bytes, Strictness::Strict);
    reading.finish()
}

/// Reads as much as can be read.
pub fn read(paths: &[PathBuf], strictness: Strictness) -> Reading {
    let mut reading = Reading::default();
    let files = files::list(paths, &mut reading.errors);
    reading.files = files.len() + reading.errors.len();
    for path in files {
        match files::read(&path) {
            Ok(bytes) => reading.file(&path, &bytes, strictness),
            Err(error) => reading.errors.push(error),
        }
    }
    reading
}

/// What was found in files.
#[derive(Debug, Default)]
pub struct Reading {
    /// How many files were named, those that cannot be read among them.
    pub files: usize,
    /// How many resources are in them, good and bad ones.
    pub count: usize,
    /// What is of no concern and yet told, such as a kind that is not known.
    pub notes: Vec<InputError>,
    /// Everything that is wrong.
    pub errors: Vec<InputError>,
    resources: Resources,
    seen: HashMap<Identity, (Rc<Path>, Mark)>,
}

impl Reading {
    fn file(&mut self, file: &Path, bytes: &[u8], strictness: Strictness) {
        let text = match files::text(file, bytes) {
            Ok(text) => text,
            Err(error) => return self.errors.push(error),
        };
        let Content { objects, faults, more } = documents::read(text, strictness);
        let mut errors: Vec<InputError> =
            faults.into_iter().map(|note| InputError::noted(file, note)).collect();
        errors.extend(self.add(file, objects));
        errors.sort_by_key(|error| error.at);
        let more = more || errors.len() > limits::VIOLATIONS;
        errors.truncate(limits::VIOLATIONS);
        self.errors.append(&mut errors);
        if more {
            let message = format!("has more than {} violations; the others are not told", limits::VIOLATIONS);
            self.errors.push(InputError::new(file, None, message));
        }
    }

    /// Adds what a file has, and tells what is wrong with it or was there before.
    fn add(&mut self, file: &Path, objects: Vec<Object>) -> Vec<InputError> {
        let file: Rc<Path> = file.into();
        let mut errors = Vec::new();
        for Object { name, outcome, .. } in objects {
            match outcome {
                Outcome::Read(resource) => {
                    self.count += 1;
                    match self.seen.entry(resource.identity()) {
                        Entry::Vacant(entry) => {
                            entry.insert((Rc::clone(&file), name));
                            self.resources.add(resource);
                        }
                        Entry::Occupied(_) if errors.len() > limits::VIOLATIONS => {}
                        Entry::Occupied(entry) => {
                            let (first, Mark { line, column }) = entry.get();
                            let first = first.display();
                            let message =
                                format!("{} is already defined at {first}:{line}:{column}", entry.key());
                            errors.push(InputError::new(&file, Some(name), message));
                        }
                    }
                }
                Outcome::Refused(notes) => {
                    self.count += 1;
                    errors.extend(notes.into_iter().map(|note| InputError::noted(&file, note)));
                }
                Outcome::Passed(note) => {
                    self.notes.extend(note.map(|note| InputError::noted(&file, note)));
                }
            }
        }
        errors
    }

    fn finish(self) -> Result<Resources, InputErrors> {
        if self.errors.is_empty() { Ok(self.resources) } else { Err(InputErrors(self.errors)) }
    }
}

/// Both, or everything that is wrong with either.
pub fn both<A, B>(a: Result<A, InputErrors>, b: Result<B, InputErrors>) -> Result<(A, B), InputErrors> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(mut a), Err(b)) => {
            a.0.extend(b.0);
            Err(a)
        }
        (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => Err(errors),
    }
}

#[cfg(test)]
mod tests;
