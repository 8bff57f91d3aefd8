//! Where resources come from: files, and DNS for the addresses behind names.

pub mod dns;
mod error;
mod files;
mod yaml;

use std::{
    collections::{HashMap, hash_map::Entry},
    path::PathBuf,
};

pub use error::{InputError, InputErrors};

use crate::resources::Resources;

/// Reads all resources of these files and directories, or tells everything that is wrong with them.
pub fn load(paths: &[PathBuf]) -> Result<Resources, InputErrors> {
    let mut errors = Vec::new();
    let mut resources = Resources::default();
    let mut seen: HashMap<_, (PathBuf, usize)> = HashMap::new();
    for path in files::list(paths, &mut errors) {
        let Some(text) = files::read(&path, &mut errors) else { continue };
        for yaml::Found { resource, document } in yaml::resources(&path, &text, &mut errors) {
            match seen.entry(resource.key()) {
                Entry::Vacant(entry) => {
                    entry.insert((path.clone(), document));
                    resources.add(resource);
                }
                Entry::Occupied(entry) => {
                    let (kind, mesh, name) = entry.key();
                    let (first_path, first_document) = entry.get();
                    // Places are dear, so they are looked up only now, the first one in its file.
                    let first_text = files::read(first_path, &mut errors).unwrap_or_default();
                    let first = yaml::place_of_name(first_path, &first_text, *first_document);
                    let message = format!("{kind} {name} of mesh {mesh} is already defined at {first}");
                    errors.push(yaml::place_of_name(&path, &text, document).error(message));
                }
            }
        }
    }
    if errors.is_empty() { Ok(resources) } else { Err(InputErrors(errors)) }
}
