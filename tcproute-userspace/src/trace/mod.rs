//! Decisions as they are made, and what comes of each: the records of `/v1/trace`, a JSON value a line.

mod join;
mod routed;

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use join::{Connection, Joiner};
pub use routed::RoutedConnection;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum Record {
    /// A connect() was decided on.
    Decision(Decision),
    /// What came of a decision that was to connect.
    End {
        /// Of the socket.
        cookie: u64,
        /// When.
        time: Timestamp,
        /// What the application dialled.
        dialled: SocketAddr,
        /// Where the connection went.
        endpoint: SocketAddr,
        /// What came of it.
        outcome: Outcome,
        /// Since the first SYN; absent if there was none.
        microseconds: Option<u32>,
    },
    /// So many records were lost, since somebody was too slow, or a workload had more than its share.
    Lost {
        /// How many.
        records: u64,
        /// Of this workload's Dataplane; absent if it is not known whose they were.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dataplane: Option<String>,
    },
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Of the socket: no other one of this boot has it.
    pub cookie: u64,
    /// When.
    pub time: Timestamp,
    /// The process that dials; absent if the kernel does not tell.
    pub pid: Option<u32>,
    /// Its name.
    pub command: String,
    /// The mesh of the workload's Dataplane.
    #[serde(default)]
    pub mesh: String,
    /// The workload's Dataplane.
    pub dataplane: String,
    /// The destination service.
    pub service: String,
    /// What the application dialled.
    pub dialled: SocketAddr,
    /// The policies that contributed, from weak to strong.
    pub policies: Vec<String>,
    /// The target of the backendRef that was chosen; absent if it is not known.
    pub backend: Option<String>,
    /// Where the connection goes; absent if it was refused, since the backendRef has no endpoint.
    pub endpoint: Option<SocketAddr>,
    /// Why the connection is left to the dialled address, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
}

/// Why a connection is left to the dialled address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// Its source is bound where it cannot reach the endpoint.
    SourceBound,
    /// The way past the sidecar is not open.
    Held,
    /// Others have set bits of the socket's mark by which it would get past the sidecar.
    MarkTaken,
}

/// What comes of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is not known yet.
    Pending,
    /// Refused on this node: the backendRef has no endpoint.
    NoEndpoint,
    /// The handshake is complete.
    Established,
    /// ECONNREFUSED.
    Refused,
    /// EHOSTUNREACH and the like.
    Unreachable,
    /// ETIMEDOUT.
    TimedOut,
    /// The application gave up.
    Aborted,
    /// Failed on this node before the first SYN.
    Unsent,
    /// Failed otherwise.
    Failed,
    /// Left to the dialled address: the socket is bound where it cannot reach the endpoint.
    SourceBound,
    /// Left to the dialled address: the way past the sidecar is not open.
    Held,
    /// Left to the dialled address: others have set bits of its mark.
    MarkTaken,
    /// Another program has led it elsewhere after the decision.
    Elsewhere,
}

impl From<Left> for Outcome {
    fn from(left: Left) -> Self {
        match left {
            Left::SourceBound => Self::SourceBound,
            Left::Held => Self::Held,
            Left::MarkTaken => Self::MarkTaken,
        }
    }
}

impl Outcome {
    /// As printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::NoEndpoint => "refused here: no endpoint",
            Self::Established => "established",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed out",
            Self::Aborted => "aborted",
            Self::Unsent => "unsent",
            Self::Failed => "failed",
            Self::SourceBound => "left: its source is bound",
            Self::Held => "left to the sidecar",
            Self::MarkTaken => "left: its mark is taken",
            Self::Elsewhere => "led elsewhere by another program",
        }
    }
}
