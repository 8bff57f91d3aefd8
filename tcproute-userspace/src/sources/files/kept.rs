//! What is kept of files for the next start, and what an earlier daemon has kept.
//!
//! A resource is kept by kind, mesh, name and, if it has one, namespace.

use std::{path::PathBuf, sync::Arc};

use tracing::warn;

use super::{
    super::{
        alike::Alike,
        documents::{self, Mark, Object, Rules, Verdict},
        last_good::{Entry, Key, Record},
    },
    content::Held,
    list::Place,
};
use crate::resources::Identity;

/// So many of one file are told.
const TOLD: usize = 5;

/// What stands for a resource where it is kept.
pub(super) fn key(Identity { kind, key: (mesh, name) }: &Identity) -> Key {
    let all = [*kind, mesh.as_str(), &name.name].into_iter().chain(name.namespace.as_deref());
    all.map(str::to_owned).collect()
}

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
    let mut read = None;
    documents::read(&entry.value, rules, &mut |Object { verdict, .. }| {
        if let Verdict::Read(resource, _) = verdict {
            read = Some(resource);
        }
    });
    let mut resource = read?;
    let identity = Arc::new(resource.identity());
    if key(&identity) != entry.key {
        return None;
    }
    alike.share(&mut resource);
    Some(Held { identity, resource, name: Mark { line: 1, column: 1 }, is_new: false, stale: true })
}
