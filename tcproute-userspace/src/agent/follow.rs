//! The tasks that tell the agent what has changed outside: files and DNS.

use std::{collections::BTreeSet, panic, sync::Arc, time::Duration, time::SystemTime};

use tokio::{
    sync::watch,
    task::{JoinError, block_in_place, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    routing::DnsAnswers,
    sources::{
        InputErrors, SettledFiles, Watch, dns,
        snapshot::{Health, Rejection, Snapshot, Subject},
    },
};

/// Reads the files whenever they change, until nobody listens.
pub(super) async fn files(
    mut watch: Watch,
    mut files: SettledFiles,
    told: watch::Sender<(Instant, Arc<Snapshot>)>,
) {
    loop {
        let since = watch.changed().await;
        block_in_place(|| watch.renew());
        let read = spawn_blocking(move || {
            let loaded = files.load();
            (files, loaded)
        });
        let (again, loaded) =
            read.await.unwrap_or_else(|error| panic::resume_unwind(JoinError::into_panic(error)));
        files = again;
        let last = Arc::clone(&told.borrow().1);
        let next = match loaded {
            Ok(resources) => Snapshot { resources, ..Snapshot::default() },
            Err(errors) => invalid(&last, errors),
        };
        if told.is_closed() {
            return;
        }
        told.send_replace((since, Arc::new(next)));
    }
}

fn invalid(last: &Snapshot, InputErrors(violations): InputErrors) -> Snapshot {
    let rejection = Rejection { violations, since: SystemTime::now(), kept: true };
    Snapshot {
        resources: last.resources.clone(),
        rejected: [(Subject::Place("the files".to_owned()), Arc::new(rejection))].into_iter().collect(),
        health: Health::Well,
    }
}

/// Looks the wanted names up, new ones at once and all of them at an interval, until nobody listens.
pub(super) async fn addresses(
    every: Duration,
    mut wanted: watch::Receiver<Arc<BTreeSet<String>>>,
    told: watch::Sender<(Instant, Arc<DnsAnswers>)>,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let names = Arc::clone(&wanted.borrow_and_update());
        let known = Arc::clone(&told.borrow().1);
        let dns = dns::look_up(&names, &known).await;
        if told.is_closed() {
            return;
        }
        told.send_if_modified(|before| {
            let news = *before.1 != dns;
            if news {
                *before = (Instant::now(), Arc::new(dns));
            }
            news
        });
        tokio::select! {
            _ = ticks.tick() => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}
