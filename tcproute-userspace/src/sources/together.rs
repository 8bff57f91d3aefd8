//! All sources together, as they go on.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::SystemTime,
};

use imbl::OrdMap;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use super::{
    InputError, InputErrors,
    merge::merge,
    name::SourceName,
    snapshot::{Bytes, Health, Kept, LastAnswer, Latest, Rejection, Server, Snapshot, Stream, Subject},
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
    /// What it said last.
    said: Arc<Snapshot>,
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
    /// What it has from an earlier daemon, and keeps for the next one.
    pub kept: Kept,
    /// How much of it is read, if that has a bound.
    pub bytes: Option<Bytes>,
    /// When it was last heard, also after this was asked.
    pub answered: LastAnswer,
    /// The server that it is of, if it has said what it is.
    pub server: Option<Arc<Server>>,
}

impl Sources {
    /// Of these sources, and what they have at present. What is wrong is logged.
    pub fn new(sources: Vec<(SourceName, Stream)>) -> Self {
        let source = |(name, stream): (SourceName, Stream)| {
            let said = Arc::clone(&stream.borrow().snapshot);
            Source { name, stream, said, changed: SystemTime::now() }
        };
        let mut this = Self { all: sources.into_iter().map(source).collect(), merged: Arc::default() };
        this.merge();
        this
    }

    /// What all of them have.
    pub const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.merged
    }

    /// How each of them is.
    pub fn states(&self) -> Vec<SourceState> {
        let state = |source: &Source| {
            let Latest { snapshot, kept, answered, .. } = &*source.stream.borrow();
            let Snapshot { resources, health, bytes, server, .. } = &**snapshot;
            let Source { name, changed, .. } = *source;
            SourceState {
                name,
                health: health.clone(),
                resources: resources.count(),
                changed,
                kept: kept.clone(),
                bytes: *bytes,
                answered: answered.clone(),
                server: server.clone(),
            }
        };
        self.all.iter().map(state).collect()
    }

    /// Waits until each has answered, or for so long. Where something may be lost, an answer that tells of nothing but
    /// a failure is none, unless there is something from before in its stead.
    pub async fn answered(&mut self, until: Instant, may_lose: bool) -> bool {
        // What came since it was last asked counts, and is what is gone on with.
        self.take();
        let has_answered = |source: &Source| match source.said.health {
            Health::Awaited => false,
            Health::Failing { .. } => !may_lose || source.stream.borrow().kept.stale > 0,
            Health::Well | Health::Late { .. } => true,
        };
        while !self.all.iter().all(has_answered) {
            if !matches!(timeout_at(until, self.changed()).await, Ok(Some(_))) {
                return false;
            }
        }
        true
    }

    /// Waits until one of them says something new, or how it is; since when that was so. `None` if one has ended, which
    /// none should. What comes up and what is mended is logged.
    pub async fn changed(&mut self) -> Option<Instant> {
        self.any().await?;
        Some(self.take())
    }

    /// Takes what they have said since; since when that was so.
    fn take(&mut self) -> Instant {
        let now = SystemTime::now();
        let mut since = Instant::now();
        let mut is_new = false;
        for source in &mut self.all {
            let latest = source.stream.borrow_and_update();
            if !Arc::ptr_eq(&latest.snapshot, &source.said) {
                source.said = Arc::clone(&latest.snapshot);
                source.changed = now;
                since = since.min(latest.since);
                is_new = true;
            }
        }
        if is_new {
            self.merge();
        }
        since
    }

    /// Waits for any source.
    async fn any(&mut self) -> Option<()> {
        let mut waits: Vec<_> = self.all.iter_mut().map(|source| Box::pin(source.stream.changed())).collect();
        poll_fn(|context| {
            for wait in &mut waits {
                if let Poll::Ready(changed) = wait.as_mut().poll(context) {
                    return Poll::Ready(changed.ok());
                }
            }
            Poll::Pending
        })
        .await
    }

    fn merge(&mut self) {
        let all: Vec<_> = self.all.iter().map(|source| (source.name, Arc::clone(&source.said))).collect();
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch;

    use super::*;

    fn latest(health: Health) -> Latest {
        Latest::first(Snapshot { health, ..Snapshot::default() })
    }

    #[tokio::test]
    async fn what_is_said_before_it_is_waited_for_is_what_is_gone_on_with() {
        let (told, stream) = watch::channel(latest(Health::Awaited));
        let mut sources = Sources::new(vec![("files", stream)]);
        told.send_replace(latest(Health::Well));
        assert!(sources.answered(Instant::now(), true).await);
        assert_eq!(sources.snapshot().health, Health::Well);
        assert!(timeout_at(Instant::now(), sources.changed()).await.is_err(), "it is not said again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_says_nothing_is_waited_for_no_longer_than_asked() {
        let (_told, stream) = watch::channel(latest(Health::Awaited));
        let mut sources = Sources::new(vec![("files", stream)]);
        let until = Instant::now() + Duration::from_secs(30);
        assert!(!sources.answered(until, true).await);
        assert_eq!(Instant::now(), until);
    }
}
