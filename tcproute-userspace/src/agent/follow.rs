//! The adapter from the streams of the sources to the agent.

use std::{collections::BTreeSet, sync::Arc};

use tokio::{sync::watch, time::Instant};

use crate::sources::{SourceState, Sources, dns, snapshot::Snapshot};

/// What all sources have said together.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// When that began to change which made them say so.
    pub(super) since: Instant,
    pub(super) snapshot: Arc<Snapshot>,
    /// How each of them is.
    pub(super) sources: Vec<SourceState>,
}

/// Tells what the sources have whenever that changes, until nobody listens. Names that are new are looked up from then on, and
/// nothing waits for them.
pub(super) async fn sources(
    mut sources: Sources,
    names: watch::Sender<dns::Names>,
    told: watch::Sender<Arc<Said>>,
) {
    while let Some(since) = sources.changed().await {
        let snapshot = Arc::clone(sources.snapshot());
        names.send_if_modified(|before| replace(before, snapshot.resources.external_host_names()));
        if told.is_closed() {
            return;
        }
        told.send_replace(Arc::new(Said { since, snapshot, sources: sources.states() }));
    }
}

fn replace(before: &mut dns::Names, names: BTreeSet<String>) -> bool {
    let differs = **before != names;
    if differs {
        *before = Arc::new(names);
    }
    differs
}
