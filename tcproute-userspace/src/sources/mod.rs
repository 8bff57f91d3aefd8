//! Where resources come from: files, and DNS for the addresses behind names.

pub mod dns;
mod error;
mod files;
mod yaml;

use std::{collections::HashMap, path::PathBuf};

pub use error::{InputError, InputErrors};

use crate::resources::Resources;

/// Reads all resources of these files and directories, or tells everything that is wrong with them.
pub fn load(paths: &[PathBuf]) -> Result<Resources, InputErrors> {
    let mut errors = Vec::new();
    let mut resources = Resources::default();
    let mut seen = HashMap::new();
    for path in files::list(paths, &mut errors) {
        let Some(text) = files::read(&path, &mut errors) else { continue };
        for found in yaml::resources(&path, &text, &mut errors) {
            let key = found.resource.key();
            if let Some(first) = seen.get(&key) {
                let (kind, mesh, name) = key;
                let message = format!("{kind} {name} of mesh {mesh} is already defined at {first}");
                errors.push(found.place.error(message));
                continue;
            }
            seen.insert(key, found.place);
            resources.add(found.resource);
        }
    }
    if errors.is_empty() { Ok(resources) } else { Err(InputErrors(errors)) }
}
