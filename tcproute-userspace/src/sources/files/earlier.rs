//! What an earlier daemon has kept of files.

use std::{path::PathBuf, sync::Arc};

use tracing::warn;

use super::{
    super::{
        alike::Alike,
        documents::{Mark, Rules},
        kept,
        last_good::{Entry, Record},
    },
    content::Held,
    list::Place,
};

/// So many of one file are told.
const TOLD: usize = 5;

/// What a file had that is still named, by identity. What cannot be used any more is logged and left out.
pub(super) fn held(
    record: &Record,
    paths: &[PathBuf],
    rules: &Rules,
    alike: &mut Alike,
) -> Option<(Place, Vec<Held>)> {
    let path = PathBuf::from(&record.place);
    let leads_there = |named: &PathBuf| *named == path || Some(named.as_path()) == path.parent();
    let named = paths.iter().position(leads_there)?;
    let mut held = Vec::new();
    let mut broken = Vec::new();
    for entry in &record.entries {
        match resource(entry, rules, alike) {
            Some(resource) => held.push(resource),
            None => broken.push(entry),
        }
    }
    for entry in broken.iter().take(TOLD) {
        warn!("{} as it was kept of {} cannot be used", entry.key.join(" "), path.display());
    }
    if broken.len() > TOLD {
        warn!("{} more that was kept of {} cannot be used", broken.len() - TOLD, path.display());
    }
    held.sort_unstable_by(|a, b| a.identity.cmp(&b.identity));
    held.dedup_by(|a, b| a.identity == b.identity);
    Some((Place { named, path }, held))
}

fn resource(entry: &Entry, rules: &Rules, alike: &mut Alike) -> Option<Held> {
    let mut resource = kept::resource(entry, rules)?;
    let identity = Arc::new(resource.identity());
    alike.share(&mut resource);
    Some(Held { identity, resource, name: Mark { line: 1, column: 1 }, is_new: false, stale: true })
}
