//! What a source says at one moment: all of it, not what has changed.
//!
//! A source is a stream of snapshots in a [`tokio::sync::watch`] channel: the newest wins, and nobody queues differences.
//! What two snapshots share they share in memory, so that what has changed is found by comparing pointers.

use std::{fmt, sync::Arc, time::SystemTime};

use imbl::OrdMap;

use super::InputError;
use crate::resources::{Identity, Resources};

/// Everything that a source, or all of them together, has.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What can be used.
    pub resources: Resources,
    /// What cannot.
    pub rejected: OrdMap<Subject, Arc<Rejection>>,
    /// How the source is.
    pub health: Health,
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

/// Why something cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
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
    /// It does not answer, or only in part: what it said last stands.
    Failing {
        /// Why.
        why: String,
        /// Since when.
        since: SystemTime,
    },
}
