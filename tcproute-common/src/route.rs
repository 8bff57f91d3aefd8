// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From a dialled address to the backends behind it.

use crate::{SocketAddress, SpinLock};

/// Key of the map `routes`: a destination as one workload dials it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    /// What the application dials.
    pub dialled: SocketAddress,
    /// The workload that dials; the same address may lead elsewhere for another.
    pub workload: u32,
}

crate::shared!(RouteKey, 24);

/// Value of the map `routes`: a run of entries in the map `backends`. An empty run refuses.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteValue {
    /// Index of the run's first entry.
    pub first_backend: u32,
    /// Entries in the run: the backendRefs with a weight above 0.
    pub backend_count: u32,
    /// Index of the first of its turns in the map `turns`.
    pub first_turn: u32,
    /// How many turns there are in a round; 0 if the backends are chosen by chance.
    pub turn_count: u32,
    /// Index in the map `cursors`, if there are turns.
    pub cursor: u32,
}

crate::shared!(RouteValue, 20);

/// Entry of the map `cursors`: where a route stands in its round of turns.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    /// Held to take a turn: 5.10 has no atomic addition in BPF that tells what was there before.
    pub lock: SpinLock,
    /// The next turn, counted from the first of the round.
    pub next: u32,
}

crate::shared!(Cursor, 8);

impl Cursor {
    /// At the beginning of a round.
    pub const START: Self = Self { lock: SpinLock::FREE, next: 0 };
}

/// One backendRef of a route and its slot in the alias table (Walker 1977, Vose 1991), in the map `backends`.
///
/// The backendRefs of a route are chosen in O(1) without a loop: draw an entry of the run evenly, then
/// stay with it with a chance of `threshold / 2^32`, or go to `alias`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    /// As configured. The programs do not read it: it is for the reader of a dump.
    pub weight: u32,
    /// Chance, in 2^-32, to stay with this entry when it is drawn.
    pub threshold: u32,
    /// The entry to take otherwise, counted from the run's first.
    pub alias: u32,
    /// Index of the first of its endpoints in the map `endpoints`.
    pub first_endpoint: u32,
    /// How many endpoints it has; without one the connection is refused.
    pub endpoint_count: u32,
    /// Index in the map `outcomes`; 0 if what becomes of its connections is not counted.
    pub outcomes: u32,
}

crate::shared!(Backend, 24);
