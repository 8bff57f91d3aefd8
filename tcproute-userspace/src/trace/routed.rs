//! A connection that is open, and the decision that led it where it goes.

use std::{net::SocketAddr, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is remembered of a socket, with the names of what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutedConnection {
    /// Of the socket.
    pub cookie: u64,
    /// The mesh of the Dataplane.
    pub mesh: String,
    /// The workload's Dataplane.
    pub dataplane: String,
    /// The directory of its cgroup.
    pub cgroup: PathBuf,
    /// The destination service; absent if it is not dialled any more.
    pub service: Option<String>,
    /// What the application dialled.
    pub dialled: SocketAddr,
    /// Where the connection was sent. If the socket's peer is another one, the decision is of an earlier connection.
    pub endpoint: SocketAddr,
    /// The target of the backendRef that was chosen; absent if it was not counted.
    pub backend: Option<String>,
    /// The policies that contribute now, from weak to strong.
    pub policies: Vec<String>,
    /// Whether the backendRef is in the route as it is now, with a weight.
    pub current: bool,
    /// When the first SYN was sent, as far as is remembered: or a multiple of 71 min 35 s earlier. Absent if none was.
    pub started: Option<Timestamp>,
}
