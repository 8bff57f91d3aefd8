//! Where resources come from: files, and DNS for the addresses behind names.

pub mod dns;
mod error;
mod files;
mod place;
mod strict;
mod yaml;

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    path::{Path, PathBuf},
};

pub use error::{InputError, InputErrors};

use crate::resources::Resources;
use error::Place;
use yaml::{DocumentSpot, Found};

/// Reads all resources of these files and directories, or tells everything that is wrong with them.
pub fn load(paths: &[PathBuf]) -> Result<Resources, InputErrors> {
    let mut errors = Vec::new();
    let mut resources = Resources::default();
    let mut seen: HashMap<_, (PathBuf, DocumentSpot)> = HashMap::new();
    let mut twice = Vec::new();
    for path in files::list(paths, &mut errors) {
        let Some(text) = files::read(&path, &mut errors) else { continue };
        for Found { resource, name } in yaml::resources(&path, &text, &mut errors) {
            match seen.entry(resource.identity()) {
                Entry::Vacant(entry) => {
                    entry.insert((path.clone(), name));
                    resources.add(resource);
                }
                Entry::Occupied(entry) => {
                    let (kind, (mesh, resource)) = entry.key();
                    let what = format!("{kind} {resource} of mesh {mesh}");
                    twice.push(Twice { what, first: entry.get().clone(), again: (path.clone(), name) });
                }
            }
        }
    }
    report_twice(&twice, &mut errors);
    if errors.is_empty() { Ok(resources) } else { Err(InputErrors(errors)) }
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

/// A resource that is defined twice.
struct Twice {
    what: String,
    first: (PathBuf, DocumentSpot),
    again: (PathBuf, DocumentSpot),
}

/// Places are dear, so they are only looked up here, those of one file together.
fn report_twice(twice: &[Twice], errors: &mut Vec<InputError>) {
    let mut spots: BTreeMap<&Path, Vec<DocumentSpot>> = BTreeMap::new();
    for (file, spot) in twice.iter().flat_map(|twice| [&twice.first, &twice.again]) {
        spots.entry(file).or_default().push(spot.clone());
    }
    let mut places: BTreeMap<&Path, _> = BTreeMap::new();
    for (file, spots) in spots {
        // It could be read before; if it has gone since, there are only no places.
        let text = files::read(file, &mut Vec::new()).unwrap_or_default();
        places.insert(file, yaml::places(&text, &spots).into_iter());
    }
    // The places of a file come in the order in which its spots were asked for.
    let mut next = |file: &Path| Place {
        file: file.to_path_buf(),
        at: places.get_mut(file).and_then(Iterator::next).flatten(),
    };
    for Twice { what, first, again } in twice {
        let first = next(&first.0);
        errors.push(next(&again.0).error(format!("{what} is already defined at {first}")));
    }
}

#[cfg(test)]
mod tests;
