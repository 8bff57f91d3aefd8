//! The objects of one kind, listed once and then watched for as long as somebody listens: one request at a time, going
//! on from the version that was seen last.
//!
//! What the server says is taken apart object by object, so that no list is in memory as it was sent.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tracing::{debug, info, warn};

use super::{
    super::{
        backoff::{Backoff, spread},
        snapshot::LastAnswer,
    },
    access::Server,
    failure::{Failure, Status},
    head::{Head, ObjectName},
    kinds::{Scope, WatchedKind},
    object::{Object, Reading},
};

/// How many objects a page of a list has at most.
const PAGE: usize = 500;

/// Bytes of a page at most. An object has a few megabytes at most, and most have one kilobyte.
const PAGE_BYTES: usize = 256 << 20;

/// Bytes of an event at most: etcd takes no more of an object than 1.5 MiB, and JSON may be twice as long.
const EVENT_BYTES: usize = 16 << 20;

/// So long a watch lasts, and up to as much again: then it is begun anew, on another server perhaps.
const LASTS: Duration = Duration::from_mins(4);

/// So long it is silent at most beyond that. A server tells every minute how far it has come.
const BEYOND: Duration = Duration::from_secs(15);

/// So long nothing fails that goes on after a failure.
const QUIET: Duration = Duration::from_secs(2);

/// While the list streams in, something comes all the time.
const LISTING: Duration = Duration::from_secs(30);

/// A list that has lost more than half is asked for again after this.
const DOUBTED: Duration = Duration::from_secs(10);

/// Fewer objects are few enough to go at once.
const FEW: usize = 8;

/// A watch that ends sooner is not begun anew at once.
const SHORT: Duration = Duration::from_secs(1);

/// How a watch goes.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) kind: WatchedKind,
    /// When that came.
    pub(super) at: Instant,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// All there are.
    Listed(Vec<Object>),
    /// One that is there, or has changed.
    Applied(Box<Object>),
    /// One that is gone.
    Removed(ObjectName),
    /// Nothing can be had at present: what was told last stands.
    Failing(String),
    /// It goes on after a failure.
    Well,
}

/// Follows one kind.
pub(super) struct Watch {
    pub(super) kind: WatchedKind,
    pub(super) server: Arc<Server>,
    pub(super) reading: Reading,
    pub(super) told: mpsc::Sender<Told>,
    /// The path of its objects, and what is asked of them.
    pub(super) path: String,
    pub(super) selectors: Vec<(&'static str, String)>,
    /// Where it is told what an operator has to allow.
    pub(super) rule: String,
    /// How many objects there are, once that is known.
    pub(super) count: Option<usize>,
    /// Told whenever the server is heard.
    pub(super) answered: LastAnswer,
}

/// From where a watch goes on.
enum From {
    /// Everything there is, first.
    Beginning,
    /// What has changed since this version.
    Version(String),
}

/// What has ended a watch that has not failed.
enum Ended {
    /// Its time, or the server. The version to go on from.
    At(String),
    /// Nobody listens.
    Unheard,
    /// The server does not stream lists.
    NoStreams,
    /// The list has lost more than half of what there was.
    Doubted,
}

impl Watch {
    /// Until nobody listens, or the kind is not there any more: then `true`.
    pub(super) async fn follow(mut self) -> bool {
        let mut backoff = Backoff::default();
        let mut from = From::Beginning;
        let mut streams = true;
        let mut obeys = false;
        let mut is_failing = false;
        loop {
            let begun = Instant::now();
            let followed = match (&from, streams) {
                (From::Beginning, false) => self.pages(obeys).await,
                (From::Beginning, true) | (From::Version(_), _) => {
                    self.stream(&from, obeys, &mut backoff, &mut is_failing).await
                }
            };
            let wait = match followed {
                Ok(Ended::Unheard) => return false,
                Ok(Ended::NoStreams) => {
                    debug!("{} are listed in pages: the API server does not stream lists", self.kind.plural);
                    streams = false;
                    continue;
                }
                Ok(Ended::Doubted) => {
                    obeys = true;
                    from = From::Beginning;
                    let jitter = DOUBTED.mul_f64(fastrand::f64() / 4.0);
                    DOUBTED + jitter
                }
                Ok(Ended::At(version)) => {
                    obeys = false;
                    backoff.reset();
                    self.is_well(&mut is_failing).await;
                    from = From::Version(version);
                    SHORT.saturating_sub(begun.elapsed())
                }
                Err(Failure::Gone) => {
                    info!(
                        "{} are listed anew: their last version is too old for the API server",
                        self.kind.plural
                    );
                    from = From::Beginning;
                    // The first time at once: nobody knows what has changed meanwhile.
                    backoff.next(0.0).min(spread(fastrand::f64()))
                }
                // Another kind is there, whatever the server says.
                Err(Failure::NotFound) if self.kind.is_kumas() => return true,
                Err(failure) => {
                    let wait = match failure {
                        Failure::TooMany(Some(after)) => backoff.after(after, fastrand::f64()),
                        _ => backoff.next(fastrand::f64()),
                    };
                    let why = match &failure {
                        Failure::Forbidden(_) => format!("{failure}; {}", self.rule),
                        _ => failure.to_string(),
                    };
                    let why = format!("{}: {why}", self.kind.plural);
                    if !is_failing {
                        warn!("{why}: what was known stays, and it is tried again");
                    }
                    is_failing = true;
                    if !self.tell(What::Failing(why)).await {
                        return false;
                    }
                    wait
                }
            };
            if wait.is_zero() {
                continue;
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = self.told.closed() => return false,
            }
        }
    }

    async fn is_well(&self, is_failing: &mut bool) {
        if std::mem::take(is_failing) {
            info!("{} are followed again", self.kind.plural);
            self.tell(What::Well).await;
        }
    }

    async fn tell(&self, what: What) -> bool {
        self.told.send(Told { kind: self.kind, at: Instant::now(), what }).await.is_ok()
    }

    fn query(&self, parameters: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.selectors.iter().map(|(name, value)| (*name, value.as_str())));
        query.extend_pairs(parameters);
        format!("{}?{}", self.path, query.finish())
    }

    /// Lists in pages.
    async fn pages(&mut self, obeys: bool) -> Result<Ended, Failure> {
        let limit = PAGE.to_string();
        let mut objects = Vec::new();
        let mut next = String::new();
        loop {
            let mut parameters = vec![("limit", limit.as_str())];
            if !next.is_empty() {
                parameters.push(("continue", &next));
            }
            let mut answer = self.server.get(&self.query(&parameters), self.kind.accepted()).await?;
            let text = answer.whole(PAGE_BYTES).await?;
            self.answered.set();
            let page: Page<'_> = serde_json::from_slice(&text).map_err(garbage)?;
            for item in page.items {
                objects.push(self.reading.read(item)?);
            }
            let Meta { resource_version, r#continue: more } = page.metadata;
            if more.is_empty() {
                return self.listed(objects, resource_version, obeys).await;
            }
            next = more;
        }
    }

    /// A list that is whole.
    async fn listed(&mut self, objects: Vec<Object>, version: String, obeys: bool) -> Result<Ended, Failure> {
        let before = self.count.unwrap_or(0);
        if before >= FEW && objects.len() * 2 < before && !obeys {
            let why = format!(
                "{}: the API server lists {} of them and had {before}: it is asked again before it is believed",
                self.kind.plural,
                objects.len()
            );
            warn!("{why}");
            return Ok(if self.tell(What::Failing(why)).await { Ended::Doubted } else { Ended::Unheard });
        }
        self.count = Some(objects.len());
        if !self.tell(What::Listed(objects)).await {
            return Ok(Ended::Unheard);
        }
        Ok(Ended::At(version))
    }

    /// Watches, with or without all there is first.
    async fn stream(
        &mut self,
        from: &From,
        obeys: bool,
        backoff: &mut Backoff,
        is_failing: &mut bool,
    ) -> Result<Ended, Failure> {
        let lasts = LASTS + LASTS.mul_f64(fastrand::f64());
        let seconds = lasts.as_secs().to_string();
        let mut parameters =
            vec![("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", &seconds)];
        let mut version = match from {
            From::Beginning => {
                parameters.extend([("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")]);
                String::new()
            }
            From::Version(version) => {
                parameters.push(("resourceVersion", version));
                version.clone()
            }
        };
        let is_beginning = matches!(from, From::Beginning);
        let answer = self.server.get(&self.query(&parameters), self.kind.accepted()).await;
        let mut answer = match answer {
            // The server is too old to know these parameters, or does not have them switched on.
            Err(Failure::Status(400 | 422, _)) if is_beginning => return Ok(Ended::NoStreams),
            answer => answer?,
        };
        let mut initial = is_beginning.then(Vec::new);
        loop {
            // One that has failed is told to go on when something comes, or nothing fails for a while.
            let may_be_well = *is_failing && initial.is_none();
            let patience = match (&initial, may_be_well) {
                (Some(_), _) => LISTING,
                (None, true) => QUIET,
                (None, false) => lasts + BEYOND,
            };
            let line = tokio::select! {
                line = answer.line(EVENT_BYTES, patience) => line,
                () = self.told.closed() => return Ok(Ended::Unheard),
            };
            let line = match line {
                Err(Failure::Silent(_)) if may_be_well => {
                    backoff.reset();
                    self.is_well(is_failing).await;
                    continue;
                }
                Ok(Some(line)) => line,
                // A connection that is cut is no failure, unless the next is.
                Ok(None) | Err(Failure::Connection(_)) if initial.is_none() => return Ok(Ended::At(version)),
                Ok(None) => return Err(Failure::Connection("the list has ended too early".to_owned())),
                Err(failure) => return Err(failure),
            };
            // Also a bookmark tells that all is as it was.
            self.answered.set();
            let event: Event<'_> = serde_json::from_slice(&line).map_err(garbage)?;
            match event.r#type {
                "ADDED" | "MODIFIED" => {
                    let object = self.reading.read(event.object)?;
                    version.clone_from(&object.version);
                    match &mut initial {
                        Some(all) => all.push(object),
                        None => {
                            *self.count.get_or_insert(0) += usize::from(event.r#type == "ADDED");
                            if !self.tell(What::Applied(Box::new(object))).await {
                                return Ok(Ended::Unheard);
                            }
                        }
                    }
                }
                "DELETED" => {
                    let head: Head = serde_json::from_str(event.object.get()).map_err(garbage)?;
                    let name = head.metadata.object_name();
                    version = head.metadata.resource_version;
                    self.count = self.count.map(|count| count.saturating_sub(1));
                    if !self.tell(What::Removed(name)).await {
                        return Ok(Ended::Unheard);
                    }
                }
                "BOOKMARK" => {
                    let head: Head = serde_json::from_str(event.object.get()).map_err(garbage)?;
                    version = head.metadata.resource_version;
                    if head.metadata.annotations.ends_list()
                        && let Some(objects) = initial.take()
                    {
                        match self.listed(objects, version.clone(), obeys).await? {
                            Ended::At(_) => {}
                            other => return Ok(other),
                        }
                        backoff.reset();
                        self.is_well(is_failing).await;
                    }
                }
                "ERROR" => {
                    let status: Status = serde_json::from_str(event.object.get()).map_err(garbage)?;
                    return match Failure::of(status.code, &status, None) {
                        // etcd does not tell how far it has come (before 3.4.25).
                        Failure::Status(500, _) if initial.is_some() => Ok(Ended::NoStreams),
                        failure => Err(failure),
                    };
                }
                other => return Err(Failure::Garbage(format!("an event of the type {other:?}"))),
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn garbage(error: serde_json::Error) -> Failure {
    Failure::Garbage(error.to_string())
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: Meta,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    resource_version: String,
    r#continue: String,
}

/// A line of a watch.
#[derive(Deserialize)]
struct Event<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// What is asked of the objects of a kind beside their path.
pub(super) fn selectors(
    kind: WatchedKind,
    node: Option<&str>,
    pods: Option<&str>,
) -> Vec<(&'static str, String)> {
    let mut selectors = Vec::new();
    if kind.scope == Scope::Node {
        if let Some(node) = node {
            selectors.push(("fieldSelector", format!("spec.nodeName={node}")));
        }
        if let Some(labels) = pods {
            selectors.push(("labelSelector", labels.to_owned()));
        }
    }
    selectors
}
