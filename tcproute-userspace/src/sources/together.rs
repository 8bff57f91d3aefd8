//! All sources together, as they go on.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::SystemTime,
};

use imbl::OrdMap;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{
    InputError, InputErrors,
    merge::merge,
    snapshot::{Bytes, Health, Latest, Rejection, Snapshot, SourceName, Stream, Subject},
};

/// So many rejections and notes are logged at a time.
const LOGGED: usize = 20;

/// Sources in the order of their rank: what two of them have is the earlier one's.
#[derive(Debug)]
pub struct Sources {
    all: Vec<Source>,
    merged: Arc<Snapshot>,
}

#[derive(Debug)]
struct Source {
    name: SourceName,
    stream: Stream,
    changed: SystemTime,
}

/// How a source is.
#[derive(Debug, Clone)]
pub struct SourceState {
    /// Its name.
    pub name: SourceName,
    /// Whether it answers.
    pub health: Health,
    /// How many resources it has that can be used.
    pub resources: usize,
    /// When it last said something.
    pub changed: SystemTime,
    /// How much of it is read, if that has a bound.
    pub bytes: Option<Bytes>,
}

impl Sources {
    /// Of these sources, and what they have at present. What is wrong is logged.
    pub fn new(sources: Vec<(SourceName, Stream)>) -> Self {
        let source = |(name, stream)| Source { name, stream, changed: SystemTime::now() };
        let mut this = Self { all: sources.into_iter().map(source).collect(), merged: Arc::default() };
        this.take();
        this
    }

    /// What all of them have.
    pub const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.merged
    }

    /// How each of them is.
    pub fn states(&self) -> Vec<SourceState> {
        let state = |source: &Source| {
            let Snapshot { resources, health, bytes, .. } = &*source.stream.borrow().snapshot;
            let Source { name, changed, .. } = *source;
            SourceState { name, health: health.clone(), resources: resources.count(), changed, bytes: *bytes }
        };
        self.all.iter().map(state).collect()
    }

    /// Waits until one of them says something new; since when that was so. `None` if one has ended, which none should.
    /// What comes up and what is mended is logged.
    pub async fn changed(&mut self) -> Option<Instant> {
        let woken = self.any().await?;
        let now = SystemTime::now();
        let mut since = Instant::now();
        for (number, source) in self.all.iter_mut().enumerate() {
            if number == woken || source.stream.has_changed().ok()? {
                source.changed = now;
                since = since.min(source.stream.borrow().since);
            }
        }
        self.take();
        Some(since)
    }

    /// Waits for any source.
    async fn any(&mut self) -> Option<usize> {
        let mut waits: Vec<_> = self.all.iter_mut().map(|source| Box::pin(source.stream.changed())).collect();
        poll_fn(|context| {
            for (number, wait) in waits.iter_mut().enumerate() {
                if let Poll::Ready(changed) = wait.as_mut().poll(context) {
                    return Poll::Ready(changed.ok().map(|()| number));
                }
            }
            Poll::Pending
        })
        .await
    }

    fn take(&mut self) {
        let said = |source: &mut Source| {
            let Latest { snapshot, .. } = &*source.stream.borrow_and_update();
            (source.name, Arc::clone(snapshot))
        };
        let all: Vec<_> = self.all.iter_mut().map(said).collect();
        let merged = merge(&all, &self.merged, SystemTime::now());
        tell(&self.merged, &merged);
        self.merged = merged;
    }
}

impl Snapshot {
    /// Everything that is wrong, by file and place.
    pub fn errors(&self) -> InputErrors {
        let mut errors: Vec<InputError> =
            self.rejected.values().flat_map(|rejection| rejection.violations.iter().cloned()).collect();
        errors.sort_by(|a, b| (&a.file, a.at).cmp(&(&b.file, b.at)));
        InputErrors(errors)
    }
}

/// Logs what is rejected or noted for the first time, and what no longer is.
fn tell(before: &Snapshot, after: &Snapshot) {
    let is_new = |(subject, new): &(&Subject, &Arc<Rejection>)| {
        let before = before.rejected.get(*subject);
        before.is_none_or(|before| before.violations != new.violations || before.kept != new.kept)
    };
    let new: Vec<_> = after.rejected.iter().filter(is_new).collect();
    for (subject, rejection) in new.iter().take(LOGGED) {
        for why in rejection.violations.iter().take(LOGGED) {
            if rejection.kept {
                error!("{subject} cannot be used, so what it was before stays: {why}");
            } else {
                error!("{subject} cannot be used: {why}");
            }
        }
        if rejection.violations.len() > LOGGED {
            let more = rejection.violations.len() - LOGGED;
            error!("{subject} cannot be used: {more} more violations: see tcproute status --output json");
        }
    }
    if new.len() > LOGGED {
        error!("{} more cannot be used: see tcproute status --output json", new.len() - LOGGED);
    }
    let mended = gone(&before.rejected, &after.rejected);
    for subject in mended.iter().take(LOGGED) {
        info!("{subject} is not rejected any more");
    }
    if !mended.is_empty() && after.rejected.is_empty() {
        info!("the resources are in order again");
    }
    let notes = after.notes.iter().filter(|note| !before.notes.contains(note));
    notes.take(LOGGED).for_each(|note| warn!("{note}"));
}

fn gone<'a>(
    before: &'a OrdMap<Subject, Arc<Rejection>>,
    after: &OrdMap<Subject, Arc<Rejection>>,
) -> Vec<&'a Subject> {
    before.keys().filter(|subject| !after.contains_key(*subject)).collect()
}
