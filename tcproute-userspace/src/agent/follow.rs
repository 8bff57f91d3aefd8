//! What the agent follows, each in a task of its own: the sources, the addresses of names and the cgroups.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::Instant,
};

use super::{Inputs, wanted::LocalRoutes};
use crate::{
    routing::DataplaneRoutes,
    sources::{
        SourceState, Sources,
        dns::{self, Dns},
        snapshot::Snapshot,
    },
    workloads::Local,
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
    /// Where routes are told whose names are to be looked up.
    pub(super) routes: watch::Sender<LocalRoutes>,
    /// They end with this.
    pub(super) tasks: JoinSet<()>,
    _dns: Dns,
}

impl Feeds {
    /// Begins to follow what the agent's knowledge comes from.
    pub(super) fn start(inputs: Inputs, dns: Dns) -> Self {
        let Inputs { first, sources, workloads, .. } = inputs;
        let now = Instant::now();
        let mut tasks = JoinSet::new();
        let states = sources.as_ref().map(Sources::states).unwrap_or_default();
        let (told, said) = watch::channel(Arc::new(Said { since: now, snapshot: first, sources: states }));
        let (found_told, found) = watch::channel((now, workloads.local()));
        let answers = dns.answers();
        if let Some(sources) = sources {
            tasks.spawn(follow_sources(sources, told));
        }
        workloads.follow(&mut tasks, found_told);
        let (routes, wanted) = watch::channel(LocalRoutes::default());
        tasks.spawn(follow_names(wanted, dns.names()));
        Self { said, answers, found, routes, tasks, _dns: dns }
    }
}

/// Tells what the sources have whenever that changes, until nobody listens.
async fn follow_sources(mut sources: Sources, told: watch::Sender<Arc<Said>>) {
    while let Some(since) = sources.changed().await {
        let snapshot = Arc::clone(sources.snapshot());
        if told.is_closed() {
            return;
        }
        told.send_replace(Arc::new(Said { since, snapshot, sources: sources.states() }));
    }
}

/// Has the names looked up to which local routes lead. Those that are new are looked up from then on, and nothing waits
/// for them.
async fn follow_names(mut routes: watch::Receiver<LocalRoutes>, told: watch::Sender<dns::Names>) {
    while routes.changed().await.is_ok() {
        let local = routes.borrow_and_update().clone();
        // There may be millions of routes.
        let Ok(names) = spawn_blocking(move || names(&local)).await else { return };
        told.send_if_modified(|before| {
            let differs = **before != *names;
            if differs {
                *before = names;
            }
            differs
        });
    }
}

/// The DNS names to which routes lead, by Dataplane.
pub(super) fn names(local: &LocalRoutes) -> dns::Names {
    let of = |routes: &DataplaneRoutes| -> BTreeSet<String> {
        routes.routes.iter().flat_map(|route| &route.destination.names).cloned().collect()
    };
    let mut all: BTreeMap<Arc<str>, BTreeSet<String>> = BTreeMap::new();
    for (dataplane, routes) in local {
        let names = of(routes);
        if !names.is_empty() {
            all.entry(Arc::clone(&dataplane.name)).or_default().extend(names);
        }
    }
    Arc::new(all)
}
