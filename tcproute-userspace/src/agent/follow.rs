//! What the agent is told of what has changed outside: the adapter from the streams of the sources and of DNS.

use std::{collections::BTreeSet, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::cgroups::Found;
use crate::{
    routing::DnsAnswers,
    sources::{SourceState, Sources, dns, snapshot::Snapshot},
};

/// What has changed.
pub(super) enum News {
    /// What the sources have, and how each of them is.
    Resources { since: Instant, snapshot: Arc<Snapshot>, sources: Vec<SourceState> },
    /// Addresses of names.
    Addresses { since: Instant, dns: Arc<DnsAnswers> },
    /// Which cgroups there are.
    Cgroups { since: Instant, found: Vec<Found> },
}

/// Tells what the sources have whenever that changes, until nobody listens. Names that are new are looked up from then on, and
/// nothing waits for them.
pub(super) async fn resources(
    mut sources: Sources,
    names: watch::Sender<dns::Names>,
    news: mpsc::Sender<News>,
) {
    while let Some(since) = sources.changed().await {
        let snapshot = Arc::clone(sources.snapshot());
        names.send_if_modified(|before| replace(before, snapshot.resources.external_host_names()));
        if news.send(News::Resources { since, snapshot, sources: sources.states() }).await.is_err() {
            return;
        }
    }
}

fn replace(before: &mut dns::Names, names: BTreeSet<String>) -> bool {
    let differs = **before != names;
    if differs {
        *before = Arc::new(names);
    }
    differs
}

/// Tells the addresses of names whenever they change, until nobody listens.
pub(super) async fn addresses(mut answers: watch::Receiver<dns::Answers>, news: mpsc::Sender<News>) {
    let mut before = Arc::default();
    while answers.changed().await.is_ok() {
        let dns = Arc::clone(&answers.borrow_and_update().addresses);
        if dns != before
            && news.send(News::Addresses { since: Instant::now(), dns: Arc::clone(&dns) }).await.is_err()
        {
            return;
        }
        before = dns;
    }
}
