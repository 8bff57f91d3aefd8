//! Listens to decisions, and sends what comes of them. Two loops of one thread, with the queue between them: what is
//! decided is taken whatever the collector does.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use tokio::{
    sync::{
        Notify,
        broadcast::{Receiver, error::RecvError},
    },
    time::{Instant, interval, sleep, timeout},
};
use tracing::warn;

use super::{
    Options,
    access::Collector,
    answer::Verdict,
    queue::Queue,
    request,
    span::{Id, span},
    told::Told,
};
use crate::{
    agent::Handle,
    sources::backoff::Backoff,
    trace::{Connection, Joiner, Record},
};

/// So long a connection may take: the kernel gives one up after two minutes, as a rule. What takes longer is told as
/// pending.
const CONNECTING: Duration = Duration::from_mins(3);

/// How often connections are looked for that take longer.
const TICK: Duration = Duration::from_secs(1);

/// How soon the agent is asked again, if it cannot make events.
const LISTENING: Duration = Duration::from_secs(1);

/// So long a batch is sent again and again.
const TRYING: Duration = Duration::from_mins(5);

/// So long all that is left may take at the end.
const FLUSHING: Duration = Duration::from_secs(3);

struct Exporting {
    options: Options,
    told: Told,
    begin: Instant,
    queue: RefCell<Queue<(Id, Connection)>>,
    /// How many are on their way.
    sending: Cell<usize>,
    /// Something has come into the queue, or the end.
    news: Notify,
    is_ending: Cell<bool>,
}

/// Until the agent has ended, and a little longer.
pub(super) async fn serve(options: Options, handle: Handle, told: Told) {
    let exporting = Exporting {
        options,
        told,
        begin: Instant::now(),
        queue: RefCell::default(),
        sending: Cell::new(0),
        news: Notify::new(),
        is_ending: Cell::new(false),
    };
    let sending = exporting.send();
    tokio::pin!(sending);
    tokio::select! {
        () = &mut sending => return,
        () = exporting.listen(&handle) => {}
    }
    let _ = timeout(FLUSHING, sending).await;
    let left = exporting.queue.borrow().len() + exporting.sending.get();
    if left > 0 {
        exporting.told.given_up(left);
    }
}

impl Exporting {
    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Until there are no more decisions.
    async fn listen(&self, handle: &Handle) {
        let mut joiner = Joiner::once(CONNECTING);
        if let Some(mut records) = listen(handle).await {
            self.take_all(&mut records, &mut joiner).await;
        }
        for connection in joiner.rest() {
            self.push(connection);
        }
        self.is_ending.set(true);
        self.news.notify_one();
    }

    async fn take_all(&self, records: &mut Receiver<Arc<Record>>, joiner: &mut Joiner) {
        let mut ticks = interval(TICK);
        loop {
            let connections = tokio::select! {
                record = records.recv() => match record {
                    Ok(record) => {
                        if let Record::Lost { records, .. } = &*record {
                            self.told.lost(*records);
                        }
                        joiner.take(Arc::unwrap_or_clone(record), self.now())
                    }
                    Err(RecvError::Lagged(records)) => {
                        self.told.lost(records);
                        continue;
                    }
                    Err(RecvError::Closed) => return,
                },
                _ = ticks.tick() => joiner.overdue(self.now()),
            };
            for connection in connections {
                self.push(connection);
            }
        }
    }

    fn push(&self, connection: Connection) {
        // Neither may be 0.
        let id = Id { trace: fastrand::u128(1..), span: fastrand::u64(1..) };
        if !self.options.ratio.takes(id.trace) {
            return;
        }
        let mut queue = self.queue.borrow_mut();
        if queue.push((id, connection), self.now()) {
            self.told.queued(queue.len());
            self.news.notify_one();
        } else {
            self.told.crowded_out();
        }
    }

    /// Sends batches until the end, and then what is left.
    async fn send(&self) {
        let mut collector = Collector::new(self.options.access.clone());
        let mut backoff = Backoff::default();
        while let Some(batch) = self.next_batch().await {
            self.sending.set(batch.len());
            self.send_batch(&mut collector, &mut backoff, &batch).await;
            self.sending.set(0);
        }
    }

    /// Those that are due; nothing at the end.
    async fn next_batch(&self) -> Option<Vec<(Id, Connection)>> {
        loop {
            let due = self.queue.borrow().due();
            match due {
                Some(due) if due <= self.now() || self.is_ending.get() => {
                    let mut queue = self.queue.borrow_mut();
                    let batch = queue.take();
                    self.told.queued(queue.len());
                    return Some(batch);
                }
                Some(due) => {
                    let _ = timeout(due.saturating_sub(self.now()), self.news.notified()).await;
                }
                None if self.is_ending.get() => return None,
                None => self.news.notified().await,
            }
        }
    }

    async fn send_batch(&self, collector: &mut Collector, backoff: &mut Backoff, batch: &[(Id, Connection)]) {
        let ratio = self.options.ratio;
        let spans = batch.iter().map(|(id, connection)| span(connection, *id, ratio)).collect();
        let body = request::body(spans, &self.options.origin);
        let count = batch.len();
        let begin = Instant::now();
        loop {
            let last = self.is_ending.get();
            match collector.post(body.clone()).await {
                Verdict::Taken { rejected, remark } => {
                    backoff.reset();
                    return self.told.delivered(count as u64, rejected, remark);
                }
                Verdict::Refused { why } => {
                    self.told.failing(why);
                    self.told.rejected(count);
                    // The next batch may fare no better.
                    return self.wait(backoff.next(fastrand::f64())).await;
                }
                Verdict::Again { after, why } => {
                    self.told.failing(why);
                    if last || begin.elapsed() > TRYING {
                        return self.told.given_up(count);
                    }
                    let random = fastrand::f64();
                    let wait = match after {
                        Some(after) => backoff.after(after, random),
                        None => backoff.next(random),
                    };
                    self.wait(wait).await;
                }
            }
        }
    }

    /// So long, or until the end.
    async fn wait(&self, time: Duration) {
        let end = async {
            while !self.is_ending.get() {
                self.news.notified().await;
            }
        };
        let _ = timeout(time, end).await;
    }
}

/// Nothing if there is no agent any more.
async fn listen(handle: &Handle) -> Option<Receiver<Arc<Record>>> {
    let mut failed: Option<String> = None;
    loop {
        let listening: Result<_> = handle.listen().await;
        let why = match listening {
            Ok(records) => return Some(records),
            Err(_) if !handle.is_alive() => return None,
            Err(error) => format!("{error:#}"),
        };
        if failed.as_ref() != Some(&why) {
            warn!("there are no events of which spans could be made: {why}");
            failed = Some(why);
        }
        sleep(LISTENING).await;
    }
}
