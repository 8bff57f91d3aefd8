//! What the agent follows, each in a task of its own: the sources, the addresses of names and the cgroups.

use std::{collections::BTreeSet, sync::Arc};

use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::Inputs;
use crate::{
    sources::{
        SourceState, Sources,
        dns::{self, Dns},
        snapshot::Snapshot,
    },
    workloads::{Local, named::NamedCgroups},
};

/// What all sources have said together.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// When that began to change which made them say so.
    pub(super) since: Instant,
    pub(super) snapshot: Arc<Snapshot>,
    /// How each of them is.
    pub(super) sources: Vec<SourceState>,
}

/// What is followed.
pub(super) struct Feeds {
    pub(super) said: watch::Receiver<Arc<Said>>,
    pub(super) answers: watch::Receiver<dns::Answers>,
    pub(super) found: watch::Receiver<(Instant, Local)>,
    /// They end with this.
    pub(super) tasks: JoinSet<()>,
    _dns: Dns,
}

impl Feeds {
    /// Begins to follow what the agent's knowledge comes from.
    pub(super) fn start(inputs: Inputs) -> Self {
        let Inputs { first, sources, dns, named, .. } = inputs;
        let now = Instant::now();
        let mut tasks = JoinSet::new();
        let states = sources.as_ref().map(Sources::states).unwrap_or_default();
        let (told, said) = watch::channel(Arc::new(Said { since: now, snapshot: first, sources: states }));
        let local = named.as_ref().map(NamedCgroups::local).cloned().unwrap_or_default();
        let (found_told, found) = watch::channel((now, local));
        let answers = dns.answers();
        if let Some(sources) = sources {
            tasks.spawn(follow_sources(sources, dns.names(), told));
        }
        if let Some(named) = named {
            tasks.spawn(named.follow(found_told));
        }
        Self { said, answers, found, tasks, _dns: dns }
    }
}

/// Tells what the sources have whenever that changes, until nobody listens. Names that are new are looked up from then on, and
/// nothing waits for them.
async fn follow_sources(
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
