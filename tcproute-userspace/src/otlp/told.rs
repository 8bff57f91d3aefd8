//! What others may know of the exporter. The log has each thing once, when it comes up.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tracing::{info, warn};

/// As the exporter has it at present.
#[derive(Debug, Clone)]
pub struct Exported {
    /// Where spans are sent.
    pub url: String,
    /// Why the last batch was not taken, if it was not.
    pub failing: Option<Failing>,
    /// When a batch was last taken.
    pub taken: Option<SystemTime>,
    /// How many wait to be sent.
    pub queued: usize,
    /// Those that the collector has.
    pub delivered: u64,
    /// Those for which there was no room.
    pub crowded_out: u64,
    /// Those that the collector did not want.
    pub rejected: u64,
    /// Those that were given up, since the collector was away for too long.
    pub given_up: u64,
    /// Events of which there could have been spans, lost on the way from the kernel.
    pub events_lost: u64,
}

/// Why a collector does not take what it is sent.
#[derive(Debug, Clone)]
pub struct Failing {
    /// Since when.
    pub since: SystemTime,
    /// Why.
    pub why: String,
}

/// Shared with whoever asks.
#[derive(Debug, Clone)]
pub struct Told(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    shown: Exported,
    /// Whether something finds no room at present.
    is_full: bool,
    /// What the collector has said last of what it has taken.
    remark: String,
}

impl Told {
    /// Nothing yet but where it goes.
    pub fn new(url: String) -> Self {
        let shown = Exported {
            url,
            failing: None,
            taken: None,
            queued: 0,
            delivered: 0,
            crowded_out: 0,
            rejected: 0,
            given_up: 0,
            events_lost: 0,
        };
        Self(Arc::new(Mutex::new(State { shown, is_full: false, remark: String::new() })))
    }

    /// At this moment.
    pub fn shown(&self) -> Exported {
        self.lock().shown.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many wait.
    pub(super) fn queued(&self, count: usize) {
        self.lock().shown.queued = count;
    }

    /// One more found no room.
    pub(super) fn crowded_out(&self) {
        let mut state = self.lock();
        state.shown.crowded_out += 1;
        if !state.is_full {
            state.is_full = true;
            let url = &state.shown.url;
            warn!("{url} does not take spans as fast as they come: those that find no room are counted");
        }
    }

    /// So many events never came.
    pub(super) fn lost(&self, events: u64) {
        self.lock().shown.events_lost += events;
    }

    /// A batch is there, but for so many.
    pub(super) fn delivered(&self, count: u64, rejected: u64, remark: String) {
        let mut state = self.lock();
        let rejected = rejected.min(count);
        state.shown.delivered += count - rejected;
        state.shown.rejected += rejected;
        state.shown.taken = Some(SystemTime::now());
        state.is_full = false;
        let url = &state.shown.url;
        if state.shown.failing.is_some() {
            info!("{url} takes spans again");
        }
        if (rejected > 0 || !remark.is_empty()) && remark != state.remark {
            warn!("{url} has taken all but {rejected} of {count} spans: {remark}");
        }
        state.remark = remark;
        state.shown.failing = None;
    }

    /// A batch was not taken.
    pub(super) fn failing(&self, why: String) {
        let mut state = self.lock();
        let before = state.shown.failing.take();
        if before.as_ref().is_none_or(|before| before.why != why) {
            warn!("{} does not take spans: {why}", state.shown.url);
        }
        let since = before.map_or_else(SystemTime::now, |before| before.since);
        state.shown.failing = Some(Failing { since, why });
    }

    /// The collector does not want so many of them.
    pub(super) fn rejected(&self, count: usize) {
        self.lock().shown.rejected += count as u64;
    }

    /// So many are not sent any more.
    pub(super) fn given_up(&self, count: usize) {
        let mut state = self.lock();
        state.shown.given_up += count as u64;
        warn!("{count} spans are given up that {} has not taken", state.shown.url);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_counts_once() {
        let told = Told::new("http://c/v1/traces".to_owned());
        told.delivered(10, 3, "too old".to_owned());
        told.crowded_out();
        told.rejected(5);
        told.given_up(7);
        told.lost(2);
        let shown = told.shown();
        assert_eq!((shown.delivered, shown.rejected, shown.crowded_out), (7, 8, 1));
        assert_eq!((shown.given_up, shown.events_lost, shown.queued), (7, 2, 0));
    }

    #[test]
    fn a_collector_fails_since_the_first_time() {
        let told = Told::new(String::new());
        told.failing("one".to_owned());
        let since = told.shown().failing.unwrap().since;
        told.failing("two".to_owned());
        let failing = told.shown().failing.unwrap();
        assert_eq!((failing.since, &*failing.why), (since, "two"));
        // More than were sent cannot be missing.
        told.delivered(1, 9, String::new());
        let shown = told.shown();
        assert!(shown.failing.is_none() && shown.taken.is_some());
        assert_eq!((shown.delivered, shown.rejected), (0, 1));
    }
}
