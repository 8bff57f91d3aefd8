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

impl RouteKey {
    /// What the seal of its route is made of, besides that route.
    #[inline(always)]
    pub const fn seal(&self) -> u32 {
        let [a, b, c, d] = self.dialled.address.words();
        // Below 2^31, so that they fit into the instruction.
        a.wrapping_mul(0x1e37_79b9)
            .wrapping_add(b.wrapping_mul(0x3f58_476d))
            .wrapping_add(c.wrapping_mul(0x14d0_49bb))
            .wrapping_add(d.wrapping_mul(0x56e8_feb9))
            .wrapping_add(self.dialled.port.wrapping_mul(0x2076_1d65))
            .wrapping_add(self.workload.wrapping_mul(0x6703_7ed1))
    }
}

/// A run of entries in the map `backends`. An empty run refuses.
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

/// Value of the map `routes`.
///
/// Since 6.1 the kernel uses a replaced entry at once for the next that is written, whoever still reads it
/// (`bpf_mem_alloc`). So a reader may find the route of another key, or half of one: by the seal it knows.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedRoute {
    first_backend: u32,
    backend_count: u32,
    first_turn: u32,
    turn_count: u32,
    cursor: u32,
    /// Of the key and of what is before it.
    seal: u32,
}

crate::shared!(SealedRoute, 24);

impl SealedRoute {
    /// The route of this key.
    #[inline(always)]
    pub const fn new(key: &RouteKey, value: RouteValue) -> Self {
        let RouteValue { first_backend, backend_count, first_turn, turn_count, cursor } = value;
        Self { first_backend, backend_count, first_turn, turn_count, cursor, seal: seal(key.seal(), &value) }
    }

    /// What it is for the key with this seal; `None` if it is another's, or torn.
    #[inline(always)]
    pub const fn open(&self, key: u32) -> Option<RouteValue> {
        let Self { first_backend, backend_count, first_turn, turn_count, cursor, seal: own } = *self;
        let value = RouteValue { first_backend, backend_count, first_turn, turn_count, cursor };
        if own == seal(key, &value) { Some(value) } else { None }
    }
}

/// A sum of products with odd numbers that have nothing to do with each other: a word that differs always changes it,
/// and two states that are mixed pass for one in 2^32 times.
#[inline(always)]
const fn seal(key: u32, value: &RouteValue) -> u32 {
    let RouteValue { first_backend, backend_count, first_turn, turn_count, cursor } = *value;
    // Below 2^31, as those of the key.
    key.wrapping_add(first_backend.wrapping_mul(0x0ebc_6af1))
        .wrapping_add(backend_count.wrapping_mul(0x5899_65cd))
        .wrapping_add(first_turn.wrapping_mul(0x1d8e_4e27))
        .wrapping_add(turn_count.wrapping_mul(0x6b44_accb))
        .wrapping_add(cursor.wrapping_mul(0x2d35_8dcd))
}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Address;

    const WORDS: usize = 11;

    fn route([a, b, c, d, port, workload, value @ ..]: [u32; WORDS]) -> (RouteKey, RouteValue) {
        let dialled = SocketAddress { address: Address::from_words([a, b, c, d]), port };
        let [first_backend, backend_count, first_turn, turn_count, cursor] = value;
        let value = RouteValue { first_backend, backend_count, first_turn, turn_count, cursor };
        (RouteKey { dialled, workload }, value)
    }

    proptest! {
        #[test]
        fn a_route_is_opened_by_its_own_key_and_as_it_was_sealed(
            words: [u32; WORDS],
            place in 0..WORDS,
            other: u32,
        ) {
            prop_assume!(words[place] != other);
            let (key, value) = route(words);
            let sealed = SealedRoute::new(&key, value);
            prop_assert_eq!(sealed.open(key.seal()), Some(value));
            let mut words = words;
            words[place] = other;
            let (key, value) = route(words);
            prop_assert_eq!(SealedRoute { seal: sealed.seal, ..SealedRoute::new(&key, value) }.open(key.seal()), None);
        }
    }
}
