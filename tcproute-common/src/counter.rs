// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the programs count, per CPU, in the map `counters`.

/// Index into the map `counters`.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Connections sent to an endpoint.
    Routed = 0,
    /// Connections refused, for a backend without endpoints.
    Refused = 1,
    /// States kept in `overflow`, because their place in `connections` was taken.
    Overflowed = 2,
    /// Connections routed without a state, since there is no memory or their workload has its share: `getpeername`
    /// shows the endpoint for them, and their outcome is not counted.
    Unrecorded = 3,
    /// Inconsistent maps: the connection was let through to the dialled address.
    Internal = 4,
    /// Events that were lost: their reader was too slow.
    Untraced = 5,
    /// Connections left to the dialled address: their source is bound where it cannot reach the endpoint.
    SourceBound = 6,
    /// Connections that another program has led elsewhere after the choice.
    Elsewhere = 7,
    /// Connections left to the dialled address, where a sidecar takes them: the way past it is not open.
    Held = 8,
    /// Connections left to the dialled address: others have set bits of the socket's mark that are needed to lead it
    /// past a sidecar.
    MarkTaken = 9,
}

impl Counter {
    /// All of them, in the order of their index.
    pub const ALL: [Self; 10] = [
        Self::Routed,
        Self::Refused,
        Self::Overflowed,
        Self::Unrecorded,
        Self::Internal,
        Self::Untraced,
        Self::SourceBound,
        Self::Elsewhere,
        Self::Held,
        Self::MarkTaken,
    ];

    /// As printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Routed => "routed",
            Self::Refused => "refused",
            Self::Overflowed => "overflowed",
            Self::Unrecorded => "unrecorded",
            Self::Internal => "internal errors",
            Self::Untraced => "events lost",
            Self::SourceBound => "left since their source is bound",
            Self::Elsewhere => "led elsewhere by another program",
            Self::Held => "left to the sidecar",
            Self::MarkTaken => "left since their mark is taken",
        }
    }
}
