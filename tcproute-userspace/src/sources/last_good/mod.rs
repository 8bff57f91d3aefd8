//! The last good forms of what sources have said, kept for a start without them.
//!
//! `--state-dir` has a directory for each source, and in that a file for each place from which the source has
//! something: a file with resources, the resolver. Each is written anew beside the old one and then takes its place,
//! and each of its lines has a checksum: what cannot be read is told and left out.
//!
//! - `lines`, `record`: what is in one such file. Pure.
//! - `pending`: what is still to be written. Pure.
//! - `directory`: the files.
//! - `keeper`: writes them, off the path of changes.

mod directory;
mod keeper;
mod lines;
mod pending;
mod record;

use std::path::Path;

pub use directory::StateDirectory;
pub use keeper::{Keeper, Keeping};
pub use lines::{Entry, Key, Lines};
pub use pending::Change;
pub use record::Record;

use super::name::SourceName;

/// What one source has said before this start, and where to keep what it says.
#[derive(Debug)]
pub struct LastGood {
    /// What was kept, in no order.
    pub records: Vec<Record>,
    /// Takes what is to be kept.
    pub keeper: Keeper,
}

impl LastGood {
    /// For who reads once: nothing was and is kept.
    pub fn none() -> Self {
        Self { records: Vec::new(), keeper: Keeper::none("it is read once only".to_owned()) }
    }

    /// Reads what was kept of a source. What is broken is logged and left out. Without a directory nothing was and is
    /// kept.
    pub fn open(state: Result<&StateDirectory, &anyhow::Error>, source: SourceName) -> Self {
        let opened = state.map_err(|why| format!("{why:#}")).and_then(|state| {
            let (directory, records) = state.source(source).map_err(|error| format!("{error:#}"))?;
            let keeper = Keeper::start(directory).map_err(|error| format!("{error:#}"))?;
            Ok(Self { records, keeper })
        });
        opened.unwrap_or_else(|why| Self { records: Vec::new(), keeper: Keeper::none(why) })
    }
}

/// More than this is neither kept nor read, in bytes, for each source.
pub const MOST: u64 = 1 << 30;

/// So many files are kept for each source.
const MOST_RECORDS: usize = 1 << 17;

/// A problem that is told with its path.
fn at(path: &Path) -> impl Fn() -> String {
    let path = path.display().to_string();
    move || format!("cannot use {path}")
}
