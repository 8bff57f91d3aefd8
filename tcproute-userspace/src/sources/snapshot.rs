//! What a source says at one moment: all of it, not what has changed.
//!
//! A source is a stream of snapshots in a [`tokio::sync::watch`] channel: the newest wins, and nobody queues
//! differences. What two snapshots share they share in memory, so that what has changed is found by comparing pointers.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use imbl::OrdMap;
use tokio::{sync::watch, time::Instant};

use super::{InputError, last_good::Keeping, name::SourceName};
use crate::{
    policy::Compat,
    resources::{Identity, Mesh, MeshHttpRoute, MeshTcpRoute, MtlsMode, Resources},
};

/// A source: what it said last.
pub type Stream = watch::Receiver<Latest>;

/// What a source said last.
#[derive(Debug, Clone)]
pub struct Latest {
    /// When that began to change which made it say so.
    pub since: Instant,
    /// What it said.
    pub snapshot: Arc<Snapshot>,
    /// What it has from an earlier daemon, and keeps for the next one.
    pub kept: Kept,
    /// When it was last heard.
    pub answered: LastAnswer,
}

impl Latest {
    /// What a source says that has nothing to say yet.
    pub fn first(snapshot: Snapshot) -> Self {
        let (kept, answered) = (Kept::default(), LastAnswer::default());
        Self { since: Instant::now(), snapshot: Arc::new(snapshot), kept, answered }
    }
}

/// When a source was last heard: also what says nothing new tells that all is as it was, and wakes nobody.
#[derive(Debug, Clone, Default)]
pub struct LastAnswer(Arc<AtomicU64>);

impl LastAnswer {
    /// It is heard now.
    pub fn set(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.0.store(now.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// When that was; `None` if it never was.
    pub fn at(&self) -> Option<SystemTime> {
        let millis = self.0.load(Ordering::Relaxed);
        (millis > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
    }
}

/// Everything that a source, or all of them together, has.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What can be used.
    pub resources: Resources,
    /// What cannot.
    pub rejected: OrdMap<Subject, Arc<Rejection>>,
    /// What is of no concern to routes and yet told, such as a kind that is not known.
    pub notes: Vec<InputError>,
    /// Whose rules its control plane goes by, if it tells.
    pub compat: Option<Compat>,
    /// How the source is.
    pub health: Health,
    /// How much of it is read, if that has a bound.
    pub bytes: Option<Bytes>,
    /// The server that it is of, if it has said what it is.
    pub server: Option<Arc<Server>>,
}

/// A server as a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// What it says it is.
    pub name: String,
    /// The kinds that it does not have, as in `type`.
    pub lacks: Vec<&'static str>,
    /// Why nothing can be applied to it, if so.
    pub read_only: Option<&'static str>,
    /// Whether it has the resources of several zones.
    pub is_global: bool,
}

/// How much is read of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    /// At present.
    pub read: u64,
    /// At most.
    pub most: u64,
}

/// What a source has from an earlier daemon, and keeps for the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// So many of its resources are as an earlier daemon has read them: the source has not told them yet.
    pub stale: usize,
    /// How it goes; `None` if nothing is kept.
    pub keeping: Option<Keeping>,
}

impl Snapshot {
    /// Whether something is refused that others may be about.
    pub fn lacks(&self) -> bool {
        self.rejected.iter().any(|(subject, rejection)| !rejection.kept && subject.is_missed())
    }

    /// What routes are made from. A Mesh that cannot be used and never could counts as one with mTLS: no plaintext may
    /// go to servers that do not take it.
    pub fn for_routing(&self) -> Resources {
        let mut resources = self.resources.clone();
        for (subject, _) in self.rejected.iter().filter(|(_, rejection)| !rejection.kept) {
            if let Subject::Resource(Identity { kind: Mesh::KIND, key: (name, _) }) = subject
                && !resources.meshes.contains_key(name)
            {
                let strict = Mesh { name: name.clone(), mtls: Some(MtlsMode::Strict), zone_egress: false };
                resources.meshes.insert(name.clone(), Arc::new(strict));
            }
        }
        resources
    }
}

/// What a rejection is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An object whose kind, mesh and name can be read.
    Resource(Identity),
    /// A place, such as `mesh.yaml` or `mesh.yaml:12:3`, whose content cannot be told.
    Place(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource(identity) => identity.fmt(f),
            Self::Place(place) => f.write_str(place),
        }
    }
}

impl Subject {
    /// The kind of the object, if it can be told.
    pub const fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Resource(identity) => Some(identity.kind),
            Self::Place(_) => None,
        }
    }

    /// Whether others may be about it: where it is refused, they seem to be about nothing.
    pub fn is_missed(&self) -> bool {
        !matches!(self.kind(), Some(Mesh::KIND | MeshTcpRoute::KIND | MeshHttpRoute::KIND))
    }
}

/// Why something cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The source that has it.
    pub source: SourceName,
    /// Everything that is wrong with it; at least one.
    pub violations: Vec<InputError>,
    /// When it was first seen to be so.
    pub since: SystemTime,
    /// Whether its last good form stays in force: then that is among the resources.
    pub kept: bool,
}

/// How a source is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Health {
    /// Its last answer was whole.
    #[default]
    Well,
    /// It has not answered since the start.
    Awaited,
    /// Its answers are whole, but changes are only found by looking at an interval.
    Late {
        /// Why.
        why: String,
    },
    /// It does not answer, or only in part: what it said last stands.
    Failing {
        /// Why.
        why: String,
        /// Since when.
        since: SystemTime,
    },
}

impl Health {
    /// Of a source of several parts: why some of them do not answer and since when, and whether all have answered once.
    pub(super) fn of_parts<'a>(
        failing: impl IntoIterator<Item = &'a (String, SystemTime)>,
        is_answered: bool,
    ) -> Self {
        let failing: Vec<_> = failing.into_iter().collect();
        match failing.as_slice() {
            [] if is_answered => Self::Well,
            [] => Self::Awaited,
            [(why, since), rest @ ..] => {
                let since = rest.iter().map(|(_, since)| *since).fold(*since, SystemTime::min);
                let more =
                    if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
                Self::Failing { why: format!("{why}{more}"), since }
            }
        }
    }

    /// Whether the last answer was whole.
    pub const fn answers(&self) -> bool {
        matches!(self, Self::Well | Self::Late { .. })
    }
}
