//! How large the maps are: what a node's routes need, and where growth ends.

use std::{fmt, ops::RangeInclusive};

use tcproute_common::{Backend, BackendRef, Cursor, OutcomeCounts, RouteKey, SealedRoute, SocketAddress};
use thiserror::Error;

/// How many entries the maps have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries of `routes`.
    pub routes: u32,
    /// Entries of `backends`.
    pub backends: u32,
    /// Entries of `endpoints`.
    pub endpoints: u32,
    /// Entries of `outcomes`.
    pub outcomes: u32,
    /// Entries of `turns`.
    pub turns: u32,
    /// Entries of `cursors`.
    pub cursors: u32,
}

/// A map that has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitedMap {
    /// `routes`
    Routes,
    /// `backends`
    Backends,
    /// `endpoints`
    Endpoints,
    /// `outcomes`
    Outcomes,
    /// `turns`
    Turns,
    /// `cursors`
    Cursors,
}

impl LimitedMap {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Routes, Self::Backends, Self::Endpoints, Self::Outcomes, Self::Turns, Self::Cursors];
}

impl fmt::Display for LimitedMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Routes => "routes",
            Self::Backends => "backends",
            Self::Endpoints => "endpoints",
            Self::Outcomes => "outcomes",
            Self::Turns => "turns",
            Self::Cursors => "cursors",
        })
    }
}

/// There is no room in a map. Nothing was changed.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("the map {map} needs room for {wanted} entries in one piece beside {taken} and has {limit}")]
pub struct OverLimit {
    /// Which map.
    pub map: LimitedMap,
    /// What is wanted in one piece.
    pub wanted: u64,
    /// What is taken, also what is still in use from before.
    pub taken: u64,
    /// How many entries the map has.
    pub limit: u32,
}

impl OverLimit {
    /// Whether there is room, but in several pieces.
    pub const fn is_scattered(&self) -> bool {
        self.taken + self.wanted <= self.limit as u64
    }
}

/// What all maps may take together, and how that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Bytes at most.
    pub most: u64,
    /// CPUs that this kernel may ever have: each has its own copy of the map `outcomes`.
    pub cpus: u32,
}

/// What the kernel keeps beside an entry of a hash: its element, its bucket, and what the allocator rounds up.
const HASH_ENTRY: u64 = 88;

impl Memory {
    /// Bytes that one more entry of a map takes.
    const fn entry(self, map: LimitedMap) -> u64 {
        match map {
            LimitedMap::Routes => (size_of::<RouteKey>() + size_of::<SealedRoute>()) as u64 + HASH_ENTRY,
            LimitedMap::Backends => size_of::<Backend>() as u64,
            LimitedMap::Endpoints => size_of::<SocketAddress>() as u64,
            // With what was counted before the map became larger, and whose counts they are.
            LimitedMap::Outcomes => {
                size_of::<OutcomeCounts>() as u64 * (self.cpus as u64 + 1)
                    + size_of::<BackendRef>() as u64
                    + 2 * HASH_ENTRY
            }
            LimitedMap::Turns => size_of::<u32>() as u64,
            LimitedMap::Cursors => size_of::<Cursor>() as u64,
        }
    }

    /// Bytes that maps of this size take at most.
    pub fn of(self, limits: &Limits) -> u64 {
        LimitedMap::ALL.into_iter().map(|map| u64::from(limits.get(map)) * self.entry(map)).sum()
    }
}

/// Entries that each map has at least.
const LEAST: Limits =
    Limits { routes: 4096, backends: 4096, endpoints: 4096, outcomes: 512, turns: 1, cursors: 1 };

impl Limits {
    /// The least that is made.
    pub const LEAST: Self = LEAST;

    /// Of one map.
    pub const fn get(&self, map: LimitedMap) -> u32 {
        match map {
            LimitedMap::Routes => self.routes,
            LimitedMap::Backends => self.backends,
            LimitedMap::Endpoints => self.endpoints,
            LimitedMap::Outcomes => self.outcomes,
            LimitedMap::Turns => self.turns,
            LimitedMap::Cursors => self.cursors,
        }
    }

    const fn get_mut(&mut self, map: LimitedMap) -> &mut u32 {
        match map {
            LimitedMap::Routes => &mut self.routes,
            LimitedMap::Backends => &mut self.backends,
            LimitedMap::Endpoints => &mut self.endpoints,
            LimitedMap::Outcomes => &mut self.outcomes,
            LimitedMap::Turns => &mut self.turns,
            LimitedMap::Cursors => &mut self.cursors,
        }
    }

    /// Whether each map is as large as wanted.
    pub fn has_room_for(&self, wanted: &Demand) -> bool {
        LimitedMap::ALL.into_iter().all(|map| u64::from(self.get(map)) >= wanted.get(map))
    }

    /// Maps with room in one piece for what did not fit, although there may have been room for it in several. The same
    /// if that would take more memory than there may be.
    pub fn in_one_piece(&self, over: &OverLimit, memory: Memory) -> Self {
        let limit = u64::from(self.get(over.map));
        for room in [2 * limit + over.wanted, limit + over.wanted] {
            let mut limits = *self;
            *limits.get_mut(over.map) = u32::try_from(room.min(MOST)).unwrap_or(u32::MAX);
            if memory.of(&limits) <= memory.most {
                return limits;
            }
        }
        *self
    }

    /// Maps with room for this and two fifths more, so that growing is seldom; none smaller than these. Where that
    /// would take more memory than there may be, what is wanted comes first, then the counts of outcomes get less, and
    /// then every map less than is wanted.
    pub fn grown_for(&self, wanted: &Demand, memory: Memory) -> Self {
        let grown = |factor: f64| {
            let mut limits = *self;
            for map in LimitedMap::ALL {
                let wanted = wanted.get(map);
                if wanted > u64::from(limits.get(map)) {
                    #[expect(
                        clippy::cast_precision_loss,
                        clippy::cast_sign_loss,
                        reason = "a size, which need not be exact"
                    )]
                    let room = (wanted as f64 * factor).ceil() as u64;
                    let room = u32::try_from(room.min(MOST)).unwrap_or(u32::MAX);
                    *limits.get_mut(map) = room.max(limits.get(map));
                }
            }
            limits
        };
        let fits = |limits: &Self| memory.of(limits) <= memory.most;
        // As much as there is: were it only what is wanted, the next route would make all maps anew.
        if let Some(factor) = greatest(1.0..=GROWN, |factor| fits(&grown(factor))) {
            return grown(factor);
        }
        // Counting is no reason to leave a route out.
        let uncounted = |factor: f64| Self { outcomes: self.outcomes, ..grown(factor) };
        if let Some(factor) = greatest(1.0..=1.25, |factor| fits(&uncounted(factor))) {
            let mut limits = uncounted(factor);
            let others = memory.of(&Self { outcomes: 0, ..limits });
            let counts = memory.most.saturating_sub(others) / memory.entry(LimitedMap::Outcomes);
            let counts = u32::try_from(counts).unwrap_or(u32::MAX);
            limits.outcomes = counts.clamp(self.outcomes, grown(1.0).outcomes);
            return limits;
        }
        greatest(0.0..=1.0, |factor| fits(&uncounted(factor))).map_or(*self, uncounted)
    }
}

/// How much larger maps are made than what is wanted. With as much again they grew half as often, and took more than
/// 200 bytes of the kernel's memory for a service.
const GROWN: f64 = 1.4;

/// The greatest number in a range for which something holds that holds for all less, if it holds for the least; within
/// a hundredth of the range.
fn greatest(range: RangeInclusive<f64>, holds: impl Fn(f64) -> bool) -> Option<f64> {
    let (mut low, mut high) = range.into_inner();
    if holds(high) {
        return Some(high);
    }
    if !holds(low) {
        return None;
    }
    let within = (high - low) / 100.0;
    while high - low > within {
        let middle = f64::midpoint(low, high);
        if holds(middle) { low = middle } else { high = middle }
    }
    Some(low)
}

/// Entries of a map at most: an index is a u32, and some are kept for what is in use from before.
const MOST: u64 = 1 << 28;

/// Entries that are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand([u64; LimitedMap::ALL.len()]);

impl Demand {
    /// Of one map.
    pub const fn get(&self, map: LimitedMap) -> u64 {
        self.0[map as usize]
    }

    /// Wants more entries of one map.
    pub const fn add(&mut self, map: LimitedMap, entries: u64) {
        self.0[map as usize] += entries;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Memory = Memory { most: 64 << 20, cpus: 2 };

    fn demand(routes: u64, outcomes: u64) -> Demand {
        let mut demand = Demand::default();
        demand.add(LimitedMap::Routes, routes);
        demand.add(LimitedMap::Outcomes, outcomes);
        demand
    }

    #[test]
    fn maps_grow_to_more_than_what_is_wanted_and_none_gets_smaller() {
        let grown = Limits::LEAST.grown_for(&demand(5000, 10), MEMORY);
        assert_eq!(grown, Limits { routes: 7000, ..Limits::LEAST });
    }

    #[test]
    fn where_memory_ends_routes_come_before_counts() {
        let wanted = demand(300_000, 300_000);
        let grown = Limits::LEAST.grown_for(&wanted, MEMORY);
        assert!((300_000..=375_000).contains(&grown.routes), "{grown:?}");
        assert!((1000..300_000).contains(&grown.outcomes), "{grown:?}");
        assert!(MEMORY.of(&grown) <= MEMORY.most);
    }

    #[test]
    fn the_bound_is_reached_in_few_steps() {
        let bound = u64::from(u32::MAX).min(MEMORY.most / MEMORY.entry(LimitedMap::Routes));
        for counted in [0, 1] {
            let (mut limits, mut steps) = (Limits::LEAST, 0);
            for routes in (0..bound).step_by(100) {
                let wanted = demand(routes, routes * counted);
                let grown =
                    if limits.has_room_for(&wanted) { limits } else { limits.grown_for(&wanted, MEMORY) };
                steps += usize::from(grown != limits);
                limits = grown;
            }
            assert!(steps < 32, "{steps} steps to {limits:?}");
        }
    }

    #[test]
    fn what_is_wanted_in_one_piece_is_added_at_the_end() {
        let over = OverLimit { map: LimitedMap::Endpoints, wanted: 1400, taken: 2600, limit: 4096 };
        let grown = Limits::LEAST.in_one_piece(&over, MEMORY);
        assert_eq!(grown, Limits { endpoints: 2 * 4096 + 1400, ..Limits::LEAST });
        let most = MEMORY.of(&Limits { endpoints: 4096 + 1400, ..Limits::LEAST });
        let of = |most| Limits::LEAST.in_one_piece(&over, Memory { most, ..MEMORY }).endpoints;
        assert_eq!((of(most), of(most - 1)), (4096 + 1400, 4096));
    }

    #[test]
    fn what_does_not_fit_gets_what_there_is() {
        let grown = Limits::LEAST.grown_for(&demand(3_000_000, 0), MEMORY);
        assert!(!grown.has_room_for(&demand(3_000_000, 0)));
        assert!(grown.routes > 100_000 && MEMORY.of(&grown) <= MEMORY.most, "{grown:?}");
    }
}
