//! What the page draws, as server-sent events: one for each reading that shows something else. The daemon is read once
//! a second for all pages together, and not at all while there is none.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Error, Result};
use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream;
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::sleep,
};

use super::{
    guarded,
    reading::{Rates, Reading},
    view::{Query, View},
};
use crate::{
    admin::{Desk, attached, status::Status},
    agent::Handle,
    escaped,
};

/// From one reading to the next, at least.
const EVERY: Duration = Duration::from_secs(1);

/// So many times as long as a reading takes is nothing read.
const REST: u32 = 20;

/// So often is something sent, to find out whether somebody is still there.
const ALIVE: Duration = Duration::from_secs(5);

/// So soon a browser asks again when a stream has ended.
const AGAIN: Duration = Duration::from_secs(2);

/// What is read for all pages that are open.
pub(in crate::admin) struct Looking {
    handle: Handle,
    latest: watch::Sender<Latest>,
    /// Whether somebody reads for them.
    reads: Mutex<bool>,
}

/// Nothing at first.
type Latest = Option<Arc<Result<Reading>>>;

impl Looking {
    pub(in crate::admin) fn new(handle: Handle) -> Arc<Self> {
        Arc::new(Self { handle, latest: watch::Sender::new(None), reads: Mutex::default() })
    }

    fn reads(&self) -> MutexGuard<'_, bool> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For one more page.
    fn look(self: &Arc<Self>) -> watch::Receiver<Latest> {
        let mut reads = self.reads();
        let mut latest = self.latest.subscribe();
        latest.mark_changed();
        if !*reads {
            *reads = true;
            tokio::spawn(Arc::clone(self).read());
        }
        latest
    }

    /// Until nobody looks any more.
    async fn read(self: Arc<Self>) {
        let mut rates = Rates::default();
        loop {
            let begin = Instant::now();
            let reading = self.reading(&mut rates).await;
            self.latest.send_replace(Some(Arc::new(reading)));
            sleep(EVERY.max(begin.elapsed() * REST)).await;
            let mut reads = self.reads();
            if self.latest.receiver_count() == 0 {
                self.latest.send_replace(None);
                *reads = false;
                return;
            }
        }
    }

    async fn reading(&self, rates: &mut Rates) -> Result<Reading> {
        // While the daemon starts there is nobody to ask.
        let outcomes = match self.handle.state().features {
            Some(_) => self.handle.outcomes().await?,
            None => Vec::new(),
        };
        let at = Instant::now();
        let state = self.handle.state();
        let attached = attached(&self.handle).await?;
        let status = Status::new(&state, &attached);
        Ok(Reading::new(&state, status, outcomes, at, rates))
    }
}

/// A page that is told.
struct Page {
    query: Query,
    readings: watch::Receiver<Latest>,
    closed: watch::Receiver<()>,
    /// What it was told last.
    before: Option<View>,
    _place: OwnedSemaphorePermit,
}

impl Page {
    /// `None` when the endpoint is closed.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            tokio::select! {
                // Nothing is ever told but that the sender is gone.
                _ = self.closed.changed() => return None,
                changed = self.readings.changed() => changed.ok()?,
            }
            let Some(reading) = self.readings.borrow_and_update().clone() else { continue };
            let event = match &*reading {
                Ok(reading) => {
                    let view = View::new(reading, &self.query);
                    if self.before.as_ref() == Some(&view) {
                        continue;
                    }
                    let text = escaped::json(&view);
                    self.before = Some(view);
                    text.map_or_else(
                        |error| failed(&error.into()),
                        |text| Event::default().event("view").data(text),
                    )
                }
                Err(error) => {
                    self.before = None;
                    failed(error)
                }
            };
            return Some((Ok(event.retry(AGAIN)), self));
        }
    }
}

fn failed(error: &Error) -> Event {
    let text = escaped::json(&json!({ "error": format!("{error:#}") })).unwrap_or_default();
    Event::default().event("failed").data(text)
}

pub(in crate::admin) async fn view(State(desk): State<Desk>, uri: Uri) -> Response {
    let Some(place) = desk.here.page() else {
        return guarded(
            (StatusCode::SERVICE_UNAVAILABLE, "too many look at this page already\n").into_response(),
        );
    };
    let page = Page {
        query: Query::parse(uri.query().unwrap_or_default()),
        readings: desk.looking.look(),
        closed: desk.closed,
        before: None,
        _place: place,
    };
    let events = stream::unfold(page, Page::next);
    guarded(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::agent::desk;

    async fn next(latest: &mut watch::Receiver<Latest>) -> Arc<Result<Reading>> {
        let mut reading = None;
        while reading.is_none() {
            timeout(Duration::from_secs(30), latest.changed()).await.unwrap().unwrap();
            reading = latest.borrow_and_update().clone();
        }
        reading.unwrap()
    }

    #[tokio::test]
    async fn all_pages_share_one_reading_and_without_a_page_there_is_none() {
        let (_desk, handle) = desk();
        let looking = Looking::new(handle);
        assert!(!*looking.reads(), "nobody looks");
        let (mut one, mut other) = (looking.look(), looking.look());
        let first = next(&mut one).await;
        assert!(Arc::ptr_eq(&first, &next(&mut other).await));
        assert!(first.is_ok());
        assert!(!Arc::ptr_eq(&first, &next(&mut one).await), "it goes on");
        // Another one sees at once what was read last.
        assert!(next(&mut looking.look()).await.is_ok());
        drop((one, other));
        timeout(Duration::from_secs(30), async {
            while *looking.reads() {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .unwrap();
        assert!(looking.latest.borrow().is_none(), "what was read is not kept");
        assert!(next(&mut looking.look()).await.is_ok(), "it begins again");
    }
}
