//! The tasks that tell the agent what has changed outside: files and DNS.

use std::{collections::BTreeSet, panic, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, block_in_place, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{cgroups::Found, resolved::Names};
use crate::{
    resources::Resources,
    routing::DnsAnswers,
    sources::{InputErrors, SettledFiles, Watch, dns},
};

/// What has changed.
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and there is one at a time")]
pub(super) enum News {
    /// The files: what is in them, with the addresses of names that were not known.
    Resources { since: Instant, resources: Resources, dns: DnsAnswers },
    /// The files, but they cannot be used.
    Invalid { since: Instant, errors: InputErrors },
    /// Addresses.
    Addresses { since: Instant, dns: DnsAnswers },
    /// Which cgroups there are.
    Cgroups { since: Instant, found: Vec<Found> },
    /// Whether changes of files are seen, or why they are not.
    Sight(Option<String>),
}

/// Reads the files whenever they change, until nobody listens.
pub(super) async fn files(
    mut watch: Watch,
    mut files: SettledFiles,
    names: watch::Receiver<Names>,
    news: mpsc::Sender<News>,
) {
    let mut blind = None;
    let mut since = watch.changed().await;
    loop {
        block_in_place(|| watch.renew());
        if watch.blind() != blind.as_deref() {
            blind = watch.blind().map(str::to_owned);
            if news.send(News::Sight(blind.clone())).await.is_err() {
                return;
            }
        }
        let read = spawn_blocking(move || {
            let loaded = files.load();
            (files, loaded)
        });
        let (again, loaded) =
            read.await.unwrap_or_else(|error| panic::resume_unwind(JoinError::into_panic(error)));
        files = again;
        let found = match loaded {
            Ok(resources) => {
                // The files may be mended while a resolver does not answer.
                tokio::select! {
                    dns = addresses_of_new(&resources, &names) => News::Resources { since, resources, dns },
                    _ = watch.changed() => continue,
                }
            }
            Err(errors) => News::Invalid { since, errors },
        };
        if news.send(found).await.is_err() {
            return;
        }
        since = watch.changed().await;
    }
}

/// The addresses of the names that these resources are the first to have.
async fn addresses_of_new(resources: &Resources, names: &watch::Receiver<Names>) -> DnsAnswers {
    let before = Arc::clone(&names.borrow().wanted);
    let new: BTreeSet<String> =
        resources.host_names().into_iter().filter(|name| !before.contains(name)).collect();
    dns::look_up(&new, &DnsAnswers::new()).await
}

/// Looks the names up at an interval, until nobody listens.
pub(super) async fn addresses(every: Duration, names: watch::Receiver<Names>, news: mpsc::Sender<News>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    loop {
        ticks.tick().await;
        let Names { wanted, known } = names.borrow().clone();
        let dns = dns::look_up(&wanted, &known).await;
        let since = Instant::now();
        if dns != *known && news.send(News::Addresses { since, dns }).await.is_err() {
            return;
        }
    }
}
