//! Where in the maps every route, backend and endpoint stands, and what has to be written to get from one
//! table to the next.
//!
//! Nothing that a route leads to is ever written in place. A route whose backends or endpoints change gets a
//! new run of backends, and then its one entry in `routes` is replaced, which is atomic. Runs of endpoints
//! are shared by all backends that have the same ones.

mod adopt;

use std::collections::{BTreeMap, BTreeSet};

pub use adopt::{Contents, Inconsistent};
use tcproute_common::{Backend, RouteKey, RouteValue, SocketAddress};
use thiserror::Error;

use super::{
    change::{Change, Retired, RouteChange, Run},
    shared::SharedRuns,
    slots::{Departed, RefName, Slots},
    space::Space,
    table::{BackendTable, RouteTable, Table, WorkloadId},
    turns::order,
};

/// How many entries the maps were made for.
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

impl Limits {
    /// Whether each map is as large as wanted.
    pub const fn has_room_for(&self, wanted: Self) -> bool {
        self.routes >= wanted.routes
            && self.backends >= wanted.backends
            && self.endpoints >= wanted.endpoints
            && self.outcomes >= wanted.outcomes
            && self.turns >= wanted.turns
            && self.cursors >= wanted.cursors
    }
}

/// The table does not fit into the maps. Nothing was changed.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{needed} {what} are needed at once, but the map was made for {limit}; \
     the map is made larger when tcproute is started anew with these resources"
)]
pub struct OverLimit {
    /// The map: `routes`, `backends`, …
    pub what: &'static str,
    /// What the table takes, beside what is still in use from before.
    pub needed: usize,
    /// The map's capacity.
    pub limit: u32,
}

/// What the maps hold at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    limits: Limits,
    routes: BTreeMap<RouteKey, Placed>,
    backends: Space,
    endpoints: SharedRuns<SocketAddress>,
    /// By the weights that they are made from.
    turns: SharedRuns<u32>,
    cursors: Space,
    slots: Slots,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    run: Run,
    turns: Option<Round>,
    table: RouteTable,
}

/// The turns of a route, and its place in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Round {
    run: Run,
    cursor: Run,
}

impl Placed {
    fn value(&self) -> RouteValue {
        let Run { first: first_backend, len: backend_count } = self.run;
        let (first_turn, turn_count, cursor) =
            self.turns.map_or((0, 0, 0), |Round { run, cursor }| (run.first, run.len, cursor.first));
        RouteValue { first_backend, backend_count, first_turn, turn_count, cursor }
    }
}

impl Layout {
    /// Of empty maps.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            routes: BTreeMap::new(),
            backends: Space::new(limits.backends),
            endpoints: SharedRuns::new(limits.endpoints),
            turns: SharedRuns::new(limits.turns),
            cursors: Space::new(limits.cursors),
            slots: Slots::new(limits.outcomes),
        }
    }

    /// The layout that holds `table`, and the change that leads there. `self` stands until that change is
    /// applied. In the new layout the retired runs still count as taken: see [`Self::reuse`].
    pub fn plan(&self, table: &Table) -> Result<(Self, Change), OverLimit> {
        if table.routes.len() > self.limits.routes as usize {
            let needed = table.routes.len();
            return Err(OverLimit { what: "routes", needed, limit: self.limits.routes });
        }
        let mut next = self.clone();
        let mut change = Change::default();
        for (&key, wanted) in &table.routes {
            if self.routes.get(&key).is_none_or(|placed| placed.table != *wanted) {
                let old = self.routes.get(&key).map(Placed::value);
                let new = next.place(key, wanted, table, &mut change)?;
                change.routes.push(RouteChange { key, old, new: Some(new) });
            }
        }
        for (&key, placed) in &self.routes {
            let wanted = table.routes.get(&key);
            if wanted.is_none_or(|wanted| placed.table != *wanted) {
                let keeps_turns = wanted.is_some_and(|wanted| placed.table.turns == wanted.turns);
                next.retire(placed, keeps_turns, &mut change.retired);
            }
            if !table.routes.contains_key(&key) {
                next.routes.remove(&key);
                change.routes.push(RouteChange { key, old: Some(placed.value()), new: None });
            }
        }
        Ok((next, change))
    }

    /// Gives the runs that `change` retired back for use. To be called when no program can still be reading
    /// them.
    pub fn reuse(&mut self, retired: &Retired) {
        let Retired { endpoints, backends, turns, cursors } = retired;
        for &run in endpoints {
            self.endpoints.give_back(run);
        }
        for &run in backends {
            self.backends.give_back(run);
        }
        for &run in turns {
            self.turns.give_back(run);
        }
        for &run in cursors {
            self.cursors.give_back(run);
        }
    }

    /// The routes.
    pub fn routes(&self) -> impl Iterator<Item = &RouteKey> {
        self.routes.keys()
    }

    /// The endpoints that each route leads to.
    pub fn endpoints(&self) -> impl Iterator<Item = (&RouteKey, SocketAddress)> {
        self.routes.iter().flat_map(|(key, placed)| {
            let endpoints = placed.table.backends.iter().flat_map(|backend| &backend.endpoints);
            endpoints.map(move |&endpoint| (key, endpoint))
        })
    }

    /// The backendRefs of a route that have a weight, and that weight.
    pub fn weights(&self, key: &RouteKey) -> BTreeMap<RefName, u32> {
        let backends = self.routes.get(key).into_iter().flat_map(|placed| &placed.table.backends);
        backends.map(|backend| (backend.name.clone(), backend.weight)).collect()
    }

    /// The entry of `outcomes` that counts for a backendRef.
    pub fn slot(&self, key: &RouteKey, name: &RefName) -> Option<u32> {
        Some(self.slots.get(key, name)).filter(|&slot| slot != 0)
    }

    /// All backendRefs that have an entry of `outcomes`.
    pub fn slots(&self) -> impl Iterator<Item = (&RouteKey, &RefName, u32)> {
        self.slots.all()
    }

    /// The workloads for which anything is counted.
    pub fn counted_workloads(&self) -> BTreeSet<WorkloadId> {
        self.slots.all().filter_map(|(key, ..)| WorkloadId::new(key.workload)).collect()
    }

    /// The entries of `outcomes` of backendRefs that have left their routes.
    pub fn departed(&self) -> Vec<Departed> {
        self.slots.departed(|key| {
            self.routes.get(key).map_or_else(BTreeSet::new, |placed| placed.table.names().collect())
        })
    }

    /// Gives an entry of `outcomes` back for use. To be called when neither a program nor a socket can lead there any
    /// more, and it was emptied.
    pub fn reuse_slot(&mut self, departed: &Departed) {
        self.slots.give_back(departed);
    }

    /// How many entries are taken, counted and not read from the maps. Retired runs are, until they are reused.
    pub fn taken(&self) -> Limits {
        Limits {
            routes: u32::try_from(self.routes.len()).unwrap_or(u32::MAX),
            backends: self.limits.backends - self.backends.free_entries(),
            endpoints: self.limits.endpoints - self.endpoints.free_entries(),
            // The first entry stands for none.
            outcomes: self.limits.outcomes - 1 - self.slots.free_entries(),
            turns: self.limits.turns - self.turns.free_entries(),
            cursors: self.limits.cursors - self.cursors.free_entries(),
        }
    }

    /// How many there can be.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    fn place(
        &mut self,
        key: RouteKey,
        wanted: &RouteTable,
        table: &Table,
        change: &mut Change,
    ) -> Result<RouteValue, OverLimit> {
        let over = |what, needed, limit| OverLimit { what, needed, limit };
        let len = u32::try_from(wanted.backends.len()).unwrap_or(u32::MAX);
        let run = self
            .backends
            .take(len)
            .ok_or_else(|| over("backends", table.size().backends, self.limits.backends))?;
        let mut entries = Vec::with_capacity(wanted.backends.len());
        for backend in &wanted.backends {
            let endpoints = self
                .share(&backend.endpoints, change)
                .ok_or_else(|| over("endpoints", table.size().endpoints, self.limits.endpoints))?;
            entries.push(entry(backend, endpoints, self.count(key, &backend.name, change)));
        }
        for name in &wanted.idle {
            self.count(key, name, change);
        }
        if !entries.is_empty() {
            change.backends.push((run.first, entries));
        }
        let turns = self.place_turns(&key, wanted, table, change)?;
        let placed = Placed { run, turns, table: wanted.clone() };
        let value = placed.value();
        self.routes.insert(key, placed);
        Ok(value)
    }

    /// The entry of `outcomes` for a backendRef, a new one if it has none.
    fn count(&mut self, key: RouteKey, name: &RefName, change: &mut Change) -> u32 {
        let (slot, is_new) = self.slots.take(key, name);
        if is_new {
            change.backend_refs.push((slot, name.entry(key)));
        }
        slot
    }

    /// The run of these endpoints, a new one if no backend has the same.
    fn share(&mut self, endpoints: &[SocketAddress], change: &mut Change) -> Option<Run> {
        let (run, is_new) = self.endpoints.take(endpoints, u32::try_from(endpoints.len()).ok()?)?;
        if is_new {
            change.endpoints.push((run.first, endpoints.to_vec()));
        }
        Some(run)
    }

    /// The turns of a route. While its weights stay it goes on where it stands, also with other endpoints; else it begins
    /// a round anew.
    fn place_turns(
        &mut self,
        key: &RouteKey,
        wanted: &RouteTable,
        table: &Table,
        change: &mut Change,
    ) -> Result<Option<Round>, OverLimit> {
        let Some(weights) = &wanted.turns else { return Ok(None) };
        if let Some(placed) = self.routes.get(key)
            && placed.table.turns == wanted.turns
        {
            return Ok(placed.turns);
        }
        let over = |what, needed, limit| OverLimit { what, needed, limit };
        let (run, is_new) = self
            .turns
            .take(weights, weights.iter().sum())
            .ok_or_else(|| over("turns", table.size().turns, self.limits.turns))?;
        if is_new {
            change.turns.push((run.first, order(weights)));
        }
        let cursor =
            self.cursors.take(1).ok_or_else(|| over("cursors", table.size().cursors, self.limits.cursors))?;
        change.cursors.push(cursor.first);
        Ok(Some(Round { run, cursor }))
    }

    fn retire(&mut self, placed: &Placed, keeps_turns: bool, retired: &mut Retired) {
        if placed.run.len > 0 {
            retired.backends.push(placed.run);
        }
        for backend in &placed.table.backends {
            retired.endpoints.extend(self.endpoints.leave(&backend.endpoints));
        }
        if let (Some(weights), Some(round), false) = (&placed.table.turns, placed.turns, keeps_turns) {
            retired.turns.extend(self.turns.leave(weights));
            retired.cursors.push(round.cursor);
        }
    }
}

const fn entry(backend: &BackendTable, endpoints: Run, outcomes: u32) -> Backend {
    Backend {
        weight: backend.weight,
        threshold: backend.threshold,
        alias: backend.alias,
        first_endpoint: endpoints.first,
        endpoint_count: endpoints.len,
        outcomes,
    }
}

#[cfg(test)]
mod tests;
