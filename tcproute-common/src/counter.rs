//! What the programs count, per CPU, in the map `counters`.

/// Index into the map `counters`.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Connections sent to an endpoint.
    Routed = 0,
    /// Connections refused, for a backend without endpoints.
    Refused = 1,
    /// States kept in `overflow`, because their slot in `connections` was taken.
    Overflowed = 2,
    /// Connections routed without a state, since there is no memory or their workload has its share: `getpeername` shows
    /// the endpoint for them, and their outcome is not counted.
    Unrecorded = 3,
    /// Inconsistent maps: the connection was let through to the dialled address.
    Internal = 4,
    /// Events that were lost: their reader was too slow.
    Untraced = 5,
}

impl Counter {
    /// All of them, in the order of their index.
    pub const ALL: [Self; 6] =
        [Self::Routed, Self::Refused, Self::Overflowed, Self::Unrecorded, Self::Internal, Self::Untraced];

    /// As printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Routed => "routed",
            Self::Refused => "refused",
            Self::Overflowed => "overflowed",
            Self::Unrecorded => "unrecorded",
            Self::Internal => "internal errors",
            Self::Untraced => "events lost",
        }
    }
}
