//! A row: one route of one workload, with what its backendRefs do.

use std::{net::SocketAddr, path::PathBuf};

use jiff::Timestamp;

use crate::outcomes::{Latency, Outcomes};

/// Which route of which workload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Of the Dataplane.
    pub(crate) mesh: String,
    /// Whose connections they are.
    pub(crate) dataplane: String,
    /// Several may have the routes of one Dataplane.
    pub(crate) cgroup: PathBuf,
    /// What the application dials.
    pub(crate) dialled: SocketAddr,
}

/// A route.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Which.
    pub(crate) key: Key,
    /// Where it leads.
    pub(crate) service: String,
    /// How its backendRefs are chosen.
    pub(crate) selection: String,
    /// Connections a second; `None` if that is not known yet.
    pub(crate) rate: Option<f64>,
    /// Of these, those that have failed.
    pub(crate) failing: Option<f64>,
    /// By how much the observed share of a backendRef is off at most, from 0 to 1.
    pub(crate) deviation: Option<f64>,
    /// Of the handshakes in the last while.
    pub(crate) latency: Latency,
    /// In the order of the policy.
    pub(crate) backends: Vec<Backend>,
}

/// A backendRef.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    /// As people read it.
    pub(crate) target: String,
    /// As configured.
    pub(crate) weight: u32,
    /// As configured, from 0 to 1.
    pub(crate) share: f64,
    /// In the last while; `None` if there were no connections.
    pub(crate) observed: Option<f64>,
    /// Connections a second; `None` if that is not known yet, or never, since they are not counted.
    pub(crate) rate: Option<f64>,
    /// A second, by cause; without those of which there are none.
    pub(crate) failures: Vec<(Cause, f64)>,
    /// Of the handshakes in the last while.
    pub(crate) latency: Latency,
    /// All that was counted; `None` if nothing is.
    pub(crate) whole: Option<Outcomes>,
    /// Endpoints that were taken out.
    pub(crate) out: Vec<Out>,
}

/// An endpoint that was taken out for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Out {
    /// Which.
    pub(crate) endpoint: SocketAddr,
    /// When it is put in again.
    pub(crate) until: Timestamp,
}

/// Of all rows, a second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    /// Connections.
    pub(crate) rate: Option<f64>,
    /// Those that have failed.
    pub(crate) failing: Option<f64>,
    /// Of these, those that an application sees as refused, by a peer or on this node.
    pub(crate) refused: Option<f64>,
}

/// Why a connection fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// On this node: the backendRef has no endpoint.
    NoEndpoint,
    /// ECONNREFUSED.
    Refused,
    /// EHOSTUNREACH and the like.
    Unreachable,
    /// ETIMEDOUT.
    TimedOut,
    /// The application gave up.
    Aborted,
    /// Before the first SYN.
    Unsent,
    /// Otherwise, or it is not told apart.
    Failed,
}

impl Cause {
    /// Each, as they are shown.
    pub(crate) const ALL: [Self; 7] = [
        Self::Refused,
        Self::NoEndpoint,
        Self::TimedOut,
        Self::Unreachable,
        Self::Aborted,
        Self::Unsent,
        Self::Failed,
    ];

    /// How many there are of it.
    pub(super) const fn count(self, outcomes: &Outcomes) -> u64 {
        match self {
            Self::NoEndpoint => outcomes.no_endpoint,
            Self::Refused => outcomes.refused,
            Self::Unreachable => outcomes.unreachable,
            Self::TimedOut => outcomes.timed_out,
            Self::Aborted => outcomes.aborted,
            Self::Unsent => outcomes.unsent,
            Self::Failed => outcomes.failed,
        }
    }

    /// Whether the application sees it as refused.
    pub(super) const fn is_refusal(self) -> bool {
        matches!(self, Self::NoEndpoint | Self::Refused)
    }

    /// As shown.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NoEndpoint => "no endpoint",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed out",
            Self::Aborted => "aborted",
            Self::Unsent => "unsent",
            Self::Failed => "failed",
        }
    }

    /// As shown where there is little room.
    pub(crate) const fn short(self) -> &'static str {
        match self {
            Self::NoEndpoint => "noep",
            Self::Refused => "ref",
            Self::Unreachable => "unr",
            Self::TimedOut => "tmo",
            Self::Aborted => "abo",
            Self::Unsent => "uns",
            Self::Failed => "fail",
        }
    }
}
