//! Workloads of several origins, as one.

use std::time::Duration;

use futures_util::future::select_all;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{Local, named::NamedCgroups, pods::PodCgroups};

/// Where workloads come from.
#[derive(Default)]
pub struct Workloads {
    /// Those that a user has named.
    pub named: Option<NamedCgroups>,
    /// Those of the pods of this node.
    pub pods: Option<PodCgroups>,
}

/// So long changes are gathered that come at once.
const TOGETHER: Duration = Duration::from_millis(1);

impl Workloads {
    /// What is known of all of them.
    pub fn local(&self) -> Local {
        let named = self.named.as_ref().map(|named| named.local().clone());
        joined(named.into_iter().chain(self.pods.as_ref().map(|pods| pods.local().clone())))
    }

    /// Follows all of them in these tasks, and tells what is known whenever that changes, with the moment since when it
    /// may be so.
    pub fn follow(self, tasks: &mut JoinSet<()>, told: watch::Sender<(Instant, Local)>) {
        let Self { named, pods } = self;
        let mut parts = Vec::new();
        let mut part = |local: &Local| {
            let (sender, receiver) = watch::channel((Instant::now(), local.clone()));
            parts.push(receiver);
            sender
        };
        if let Some(named) = named {
            let sender = part(named.local());
            tasks.spawn(named.follow(sender));
        }
        if let Some(pods) = pods {
            let sender = part(pods.local());
            tasks.spawn(pods.follow(sender));
        }
        tasks.spawn(follow_all(parts, told));
    }
}

async fn follow_all(
    mut parts: Vec<watch::Receiver<(Instant, Local)>>,
    told: watch::Sender<(Instant, Local)>,
) {
    if parts.is_empty() {
        // Nothing ever changes, and nobody is to take that for an end.
        return told.closed().await;
    }
    while !told.is_closed() {
        let changes = parts.iter_mut().map(|part| Box::pin(part.changed()));
        if select_all(changes).await.0.is_err() {
            return;
        }
        sleep(TOGETHER).await;
        let latest: Vec<_> = parts.iter_mut().map(|part| part.borrow_and_update().clone()).collect();
        let since = latest.iter().map(|(since, _)| *since).max().unwrap_or_else(Instant::now);
        told.send_replace((since, joined(latest.into_iter().map(|(_, local)| local))));
    }
}

/// All that any of them has. What is found first has the first say where cgroups overlap.
fn joined(all: impl Iterator<Item = Local>) -> Local {
    let mut all: Vec<Local> = all.collect();
    if all.len() == 1 {
        return all.swap_remove(0);
    }
    Local {
        found: all.iter().flat_map(|local| local.found.iter().cloned()).collect(),
        waiting: all.iter().flat_map(|local| local.waiting.iter().cloned()).collect(),
        doubts: all.iter().flat_map(|local| local.doubts.iter().cloned()).collect(),
        complete: all.iter().all(|local| local.complete),
    }
}
