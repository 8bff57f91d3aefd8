//! Our tables in all network namespaces of this host: those of all processes that can be seen.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result};
use tracing::warn;

use super::{inside, settings::Mark};
use crate::netns::{self, NamespaceId, Namespaces};

/// Takes all of them away. How many there were.
pub(crate) fn remove_everywhere(mark: Mark) -> Result<usize> {
    remove(mark, &BTreeSet::new())
}

/// Takes them away, but for those in these namespaces. How many there were.
pub(super) fn remove(mark: Mark, but: &BTreeSet<NamespaceId>) -> Result<usize> {
    let mut namespaces = Namespaces::new();
    for entry in fs::read_dir("/proc").context("cannot list processes")? {
        let name = entry.context("cannot list processes")?.file_name();
        if let Some(process) = name.to_str().and_then(|name| name.parse().ok()) {
            // It may have ended meanwhile, or be out of reach, as its namespace has been to whoever made a table.
            let _ = netns::open(process, &mut namespaces);
        }
    }
    let mut removed = 0;
    for (id, namespace) in namespaces.iter().filter(|(id, _)| !but.contains(id)) {
        match netns::within(&namespace.file, || inside::remove(mark)) {
            Ok(was_there) => removed += usize::from(was_there),
            Err(error) => {
                warn!("the table tcproute may still be in the network namespace {}: {error:#}", id.inode);
            }
        }
    }
    Ok(removed)
}
