// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What happens to a connection, as it happens: records of the ring buffer `events`, for `tcproute trace`.

use crate::SocketAddress;

/// Bytes of a process's name (`TASK_COMM_LEN`).
pub const COMMAND_LEN: usize = 16;

/// What has happened. A value of [`Event::kind`].
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A decision: connect() goes to an endpoint.
    Routed = 1,
    /// A decision: connect() is refused, since the chosen backendRef has no endpoint.
    NoEndpoint = 2,
    /// An end: the handshake is complete.
    Established = 3,
    /// An end, as in `OutcomeCounts`.
    Refused = 4,
    /// An end.
    Unreachable = 5,
    /// An end.
    TimedOut = 6,
    /// An end.
    Aborted = 7,
    /// An end.
    Unsent = 8,
    /// An end.
    Failed = 9,
    /// A decision: connect() goes where it was dialled, since the socket is bound where it cannot reach the endpoint.
    SourceBound = 10,
    /// An end: another program has led the connection elsewhere after the decision.
    Elsewhere = 11,
    /// A decision: connect() goes where it was dialled, as the way past the sidecar is not open.
    Held = 12,
    /// A decision: connect() goes where it was dialled, as others have set bits of the socket's mark.
    MarkTaken = 13,
}

impl EventKind {
    const ALL: [Self; 13] = [
        Self::Routed,
        Self::NoEndpoint,
        Self::Established,
        Self::Refused,
        Self::Unreachable,
        Self::TimedOut,
        Self::Aborted,
        Self::Unsent,
        Self::Failed,
        Self::SourceBound,
        Self::Elsewhere,
        Self::Held,
        Self::MarkTaken,
    ];

    /// From a record.
    pub fn new(kind: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as u32 == kind)
    }
}

/// One record.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since the boot, without those asleep (`CLOCK_MONOTONIC`).
    pub time: u64,
    /// The socket.
    pub cookie: u64,
    /// An [`EventKind`].
    pub kind: u32,
    /// Who dials; 0 if that is not known any more.
    pub workload: u32,
    /// The process that dials; 0 if the kernel does not tell. Of a decision only.
    pub pid: u32,
    /// Index in the map `outcomes` of the chosen backendRef; 0 if it has none.
    pub outcomes: u32,
    /// Microseconds from the first SYN on. Of an end only, where there was a SYN.
    pub latency: u32,
    /// What the application dials.
    pub dialled: SocketAddress,
    /// Where it goes or, if it is left, would have gone; all zeros if that was not chosen.
    pub chosen: SocketAddress,
    /// Fills the gap before `command`.
    pub reserved: u32,
    /// The bytes of the process's name, with zeros after it. Of a decision only.
    pub command: [u64; COMMAND_LEN / 8],
}

crate::shared!(Event, 96);

/// So many bytes of events may wait for their reader.
pub const EVENT_BYTES: u32 = 1 << 20;
