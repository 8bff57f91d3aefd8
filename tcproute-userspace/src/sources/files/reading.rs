//! Files that are read once, such as by `validate`.

use std::path::{Path, PathBuf};

use super::{
    super::{
        alike::Alike,
        documents::{Rules, Strictness},
        error::{InputError, InputErrors},
        snapshot::Snapshot,
    },
    content::FileContent,
    list::{Place, State},
    settled::SettledFiles,
    store::Store,
    written::Written,
};
use crate::resources::Resources;

/// Reads all resources of these files and directories, or tells everything that is wrong with them.
pub fn load(paths: &[PathBuf], strictness: Strictness) -> Result<Resources, InputErrors> {
    read(paths, strictness.into()).finish()
}

/// As [`load`], from the bytes of one file, which `name` stands for in errors.
pub fn parse(name: &Path, bytes: &[u8]) -> Result<Resources, InputErrors> {
    let mut store = Store::default();
    let place = Place { named: 0, path: name.to_path_buf() };
    let rules = Strictness::Strict.into();
    let mut content = FileContent::of(name, bytes, &rules, &[], &mut Alike::default());
    content.up_to_its_fault(name);
    store.put(&place, State::Gone, content);
    Reading::new(store).finish()
}

/// Reads as much as can be read.
pub fn read(paths: &[PathBuf], rules: Rules) -> Reading {
    Reading::new(SettledFiles::new(paths.to_vec(), rules).load_now())
}

/// What was found in files.
#[derive(Debug)]
pub struct Reading {
    /// How many files were named, those that cannot be read among them.
    pub files: usize,
    /// How many resources are in them, good and bad ones.
    pub count: usize,
    /// What is of no concern and yet told, such as a kind that is not known.
    pub notes: Vec<InputError>,
    /// Everything that is wrong.
    pub errors: Vec<InputError>,
    /// Whether something is refused that others may be about.
    pub lacks: bool,
    /// Where the fields of resources are, if that was asked.
    pub written: Written,
    resources: Resources,
}

impl Reading {
    fn new(store: Store) -> Self {
        let (files, count) = (store.files(), store.count());
        let (notes, errors) = (store.notes(), store.errors());
        let lacks = store.lacks();
        let (resources, written) = store.into_parts();
        Self { files, count, notes, errors, lacks, written, resources }
    }

    /// What a server has, each object of which is taken for a file.
    pub fn of_snapshot(snapshot: Snapshot) -> Self {
        let (errors, count) = (snapshot.errors().0, snapshot.resources.count());
        let refused = snapshot.rejected.values().filter(|rejection| !rejection.kept).count();
        let lacks = snapshot.lacks();
        let (notes, resources) = (snapshot.notes, snapshot.resources);
        let count = count + refused;
        Self { files: count, count, notes, errors, lacks, written: Written::default(), resources }
    }

    /// What can be used.
    pub const fn resources(&self) -> &Resources {
        &self.resources
    }

    /// The resources, unless anything is wrong.
    pub fn finish(self) -> Result<Resources, InputErrors> {
        if self.errors.is_empty() { Ok(self.resources) } else { Err(InputErrors(self.errors)) }
    }
}

#[cfg(test)]
mod tests;
