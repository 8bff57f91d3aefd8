//! Tables that a daemon has left, in whatever network namespaces they are: all of those are looked through in which
//! there is a process that can be seen.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result};
use tracing::warn;

use super::inside;
use crate::netns::{self, Namespaces};

/// Takes the tables away from the namespaces that the map `namespaces` had under these keys. How many there were.
/// Others are none of that daemon's.
pub(crate) fn remove(keys: &BTreeSet<u64>) -> Result<usize> {
    if keys.is_empty() {
        return Ok(0);
    }
    let mut namespaces = Namespaces::new();
    for entry in fs::read_dir("/proc").context("cannot list processes")? {
        let name = entry.context("cannot list processes")?.file_name();
        if let Some(process) = name.to_str().and_then(|name| name.parse().ok()) {
            // It may have ended meanwhile, or be out of reach, as its namespace has been to whoever made a table.
            let _ = netns::open(process, &mut namespaces);
        }
    }
    let mut removed = 0;
    for (id, namespace) in namespaces {
        let inside = netns::within(&namespace.file, || {
            if keys.contains(&netns::key(id)?) { inside::remove() } else { Ok(false) }
        });
        match inside {
            Ok(was_there) => removed += usize::from(was_there),
            Err(error) => {
                let inode = id.inode;
                warn!("the table tcproute may still be in the network namespace {inode}: {error:#}");
            }
        }
    }
    Ok(removed)
}
