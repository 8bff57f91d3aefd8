//! Where in the maps every route, backend and endpoint stands, and what has to be written to get from the routes of a workload
//! to other ones.
//!
//! Nothing that a route leads to is ever written in place. A route whose backends or endpoints change gets a
//! new run of backends, and then its one entry in `routes` is replaced, which is atomic. Runs of endpoints
//! are shared by all backends that have the same ones.
//!
//! A change is staged, which takes room for what is new; when it was applied it is committed, else abandoned.

mod adopt;
mod fill;

use std::{collections::BTreeSet, sync::Arc};

pub use adopt::{Contents, Inconsistent};
use rustc_hash::FxHashMap;
use tcproute_common::{Backend, RouteKey, RouteValue, SocketAddress};

use super::{
    change::{Change, Retired, RouteChange, Run},
    limits::{Demand, LimitedMap, Limits, OverLimit},
    shared::SharedRuns,
    slots::{Departed, RefName, Slots},
    space::Space,
    table::{BackendTable, RouteTable},
    turns::order,
    workload_id::WorkloadId,
};

/// What the maps hold at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    limits: Limits,
    routes: FxHashMap<WorkloadId, OfWorkload>,
    /// How many routes there are.
    count: usize,
    backends: Space,
    endpoints: SharedRuns<SocketAddress>,
    /// By the weights that they are made from.
    turns: SharedRuns<u32>,
    cursors: Space,
    slots: Slots,
    /// BackendRefs that have an entry of `outcomes` and are in no route.
    departed: BTreeSet<Departed>,
}

/// The routes of a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OfWorkload {
    placed: FxHashMap<SocketAddress, Placed>,
    /// What they count for in what it may take.
    entries: usize,
}

impl OfWorkload {
    fn put(&mut self, dialled: SocketAddress, new: Option<Placed>) -> Option<Placed> {
        self.entries += new.as_ref().map_or(0, |placed| placed.table.entries());
        let old = match new {
            Some(placed) => self.placed.insert(dialled, placed),
            None => self.placed.remove(&dialled),
        };
        self.entries -= old.as_ref().map_or(0, |placed| placed.table.entries());
        old
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    table: Arc<RouteTable>,
    first_backend: u32,
    round: Option<Box<Round>>,
}

/// The turns of a route, and its place in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Round {
    run: Run,
    cursor: u32,
}

/// A route of a workload, and what it shall be; `None` if it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What the workload dials.
    pub dialled: SocketAddress,
    /// What the maps shall have for it.
    pub table: Option<Arc<RouteTable>>,
}

/// What becomes of backendRefs for which there is no entry of `outcomes` left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// The change does not fit.
    Required,
    /// They are not counted: that is no reason to refuse a route.
    AsFarAsItGoes,
}

/// A change for which room is taken. It is either applied and committed, or abandoned.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Staged {
    /// What is to be written.
    pub change: Change,
    workload: WorkloadId,
    placed: Vec<(SocketAddress, Option<Placed>)>,
}

impl Placed {
    fn run(&self) -> Run {
        // An empty run stands nowhere.
        Run { first: self.first_backend, len: self.table.backends.len() as u32 }
    }

    fn value(&self) -> RouteValue {
        let Run { first: first_backend, len: backend_count } = self.run();
        let (first_turn, turn_count, cursor) =
            self.round.as_ref().map_or((0, 0, 0), |round| (round.run.first, round.run.len, round.cursor));
        RouteValue { first_backend, backend_count, first_turn, turn_count, cursor }
    }
}

const fn key(workload: WorkloadId, dialled: SocketAddress) -> RouteKey {
    RouteKey { dialled, workload: workload.get() }
}

impl Layout {
    /// Of empty maps.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            routes: FxHashMap::default(),
            count: 0,
            backends: Space::new(limits.backends),
            endpoints: SharedRuns::new(limits.endpoints),
            turns: SharedRuns::new(limits.turns),
            cursors: Space::new(limits.cursors),
            slots: Slots::new(limits.outcomes),
            departed: BTreeSet::new(),
        }
    }

    /// Takes room for the new routes of a workload, beside what is there. Nothing leads there yet.
    pub fn stage(
        &mut self,
        workload: WorkloadId,
        edits: &[Edit],
        counting: Counting,
    ) -> Result<Staged, OverLimit> {
        let mut staged =
            Staged { change: Change::default(), workload, placed: Vec::with_capacity(edits.len()) };
        match self.stage_all(edits, counting, &mut staged) {
            Ok(()) => Ok(staged),
            Err(over) => {
                // Nothing was written anywhere, so nobody can be reading it.
                let unused = self.abandon(staged);
                self.reuse(&unused);
                Err(over)
            }
        }
    }

    fn stage_all(
        &mut self,
        edits: &[Edit],
        counting: Counting,
        staged: &mut Staged,
    ) -> Result<(), OverLimit> {
        let workload = staged.workload;
        let mut count = self.count;
        for Edit { dialled, table } in edits {
            let old = self.placed(workload, dialled).map(Placed::value);
            count = count + usize::from(table.is_some()) - usize::from(old.is_some());
            if count > self.limits.routes as usize {
                let needed = count as u64;
                return Err(OverLimit { map: LimitedMap::Routes, needed, limit: self.limits.routes });
            }
            let placed = match table {
                Some(table) => {
                    Some(self.place(key(workload, *dialled), table, counting, &mut staged.change)?)
                }
                None => None,
            };
            let new = placed.as_ref().map(Placed::value);
            if old.is_some() || new.is_some() {
                staged.change.routes.push(RouteChange { key: key(workload, *dialled), old, new });
                staged.placed.push((*dialled, placed));
            }
        }
        Ok(())
    }

    /// What was staged is in force. What no route leads to any more is reused on the word of who can see that nobody reads
    /// it: see [`Self::reuse`].
    pub fn commit(&mut self, Staged { workload, placed, .. }: Staged) -> Retired {
        let mut retired = Retired::default();
        for (dialled, new) in placed {
            let key = key(workload, dialled);
            let turns = new.as_ref().and_then(|placed| placed.table.turns.clone());
            let names = new.as_ref().map(|placed| Arc::clone(&placed.table));
            let old = self.routes.entry(workload).or_default().put(dialled, new);
            self.count = self.count + usize::from(names.is_some()) - usize::from(old.is_some());
            for name in names.iter().flat_map(|table| table.names()) {
                self.departed.remove(&Departed { key, name: Arc::clone(name) });
            }
            let Some(old) = old else { continue };
            for name in old.table.names() {
                let stays = names.as_ref().is_some_and(|table| table.names().any(|other| other == name));
                if !stays && self.slots.get(&key, name).is_some() {
                    self.departed.insert(Departed { key, name: Arc::clone(name) });
                }
            }
            let keeps_turns = turns.is_some() && turns == old.table.turns;
            self.retire(&old, keeps_turns, &mut retired);
        }
        if self.routes.get(&workload).is_some_and(|of| of.placed.is_empty()) {
            self.routes.remove(&workload);
        }
        retired
    }

    /// What was staged is not in force. What it has taken may have been read all the same.
    pub fn abandon(&mut self, Staged { workload, placed, .. }: Staged) -> Retired {
        let mut retired = Retired::default();
        for (dialled, new) in placed {
            let Some(new) = new else { continue };
            let before = self.placed(workload, &dialled);
            let keeps_turns = before.is_some_and(|before| before.round == new.round);
            let kept: BTreeSet<Arc<RefName>> =
                before.into_iter().flat_map(|before| before.table.names().cloned()).collect();
            let key = key(workload, dialled);
            for name in new.table.names().filter(|name| !kept.contains(*name)) {
                if self.slots.get(&key, name).is_some() {
                    self.departed.insert(Departed { key, name: Arc::clone(name) });
                }
            }
            self.retire(&new, keeps_turns, &mut retired);
        }
        retired
    }

    /// Gives runs that were retired back for use. To be called when no program can still be reading them.
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
        for &first in cursors {
            self.cursors.give_back(Run { first, len: 1 });
        }
    }

    /// The maps have been made larger, and hold the same at the same places.
    pub fn grow(&mut self, limits: Limits) {
        self.backends.grow(limits.backends);
        self.endpoints.grow(limits.endpoints);
        self.turns.grow(limits.turns);
        self.cursors.grow(limits.cursors);
        self.slots.grow(limits.outcomes);
        self.limits = limits;
    }

    fn placed(&self, workload: WorkloadId, dialled: &SocketAddress) -> Option<&Placed> {
        self.routes.get(&workload)?.placed.get(dialled)
    }

    /// What the maps have for a route.
    pub fn table(&self, workload: WorkloadId, dialled: &SocketAddress) -> Option<&Arc<RouteTable>> {
        self.placed(workload, dialled).map(|placed| &placed.table)
    }

    /// The addresses of a workload's routes.
    pub fn dialled(&self, workload: WorkloadId) -> impl Iterator<Item = &SocketAddress> {
        self.routes.get(&workload).into_iter().flat_map(|of| of.placed.keys())
    }

    /// What a workload's routes count for in what it may take.
    pub fn entries(&self, workload: WorkloadId) -> usize {
        self.routes.get(&workload).map_or(0, |of| of.entries)
    }

    /// The workloads that have routes.
    pub fn workloads(&self) -> impl Iterator<Item = WorkloadId> {
        self.routes.keys().copied()
    }

    /// The endpoints that each route of a workload leads to.
    pub fn endpoints(&self, workload: WorkloadId) -> impl Iterator<Item = (SocketAddress, SocketAddress)> {
        self.routes.get(&workload).into_iter().flat_map(|of| &of.placed).flat_map(|(&dialled, placed)| {
            let endpoints = placed.table.backends.iter().flat_map(|backend| backend.endpoints.iter());
            endpoints.map(move |&endpoint| (dialled, endpoint))
        })
    }

    /// The entry of `outcomes` that counts for a backendRef.
    pub fn slot(&self, key: &RouteKey, name: &RefName) -> Option<u32> {
        self.slots.get(key, name)
    }

    /// All backendRefs that have an entry of `outcomes`.
    pub fn slots(&self) -> impl Iterator<Item = (&RouteKey, &Arc<RefName>, u32)> {
        self.slots.all()
    }

    /// The workloads for which anything is counted that is not in their routes any more.
    pub fn departed_workloads(&self) -> BTreeSet<WorkloadId> {
        self.departed.iter().filter_map(|departed| WorkloadId::new(departed.key.workload)).collect()
    }

    /// BackendRefs that have an entry of `outcomes` and have left their route.
    pub const fn departed(&self) -> &BTreeSet<Departed> {
        &self.departed
    }

    /// Gives an entry of `outcomes` back for use. To be called when neither a program nor a socket can lead there any
    /// more, and it was emptied.
    pub fn reuse_slot(&mut self, departed: &Departed) {
        if self.departed.remove(departed) {
            self.slots.give_back(departed);
        }
    }

    /// How many entries are taken, counted and not read from the maps. Retired runs are, until they are reused.
    pub fn taken(&self) -> Limits {
        Limits {
            routes: u32::try_from(self.count).unwrap_or(u32::MAX),
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

    /// What is taken, and what these edits of workloads want beside it at most. Those without a number are new.
    pub fn demand<'a>(&self, edits: impl Iterator<Item = (Option<WorkloadId>, &'a Edit)>) -> Demand {
        let taken = self.taken();
        let mut demand = Demand::default();
        for map in LimitedMap::ALL {
            demand.add(map, u64::from(taken.get(map)));
        }
        // The first entry of `outcomes` stands for none.
        demand.add(LimitedMap::Outcomes, 1);
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        for (workload, Edit { dialled, table }) in edits {
            let Some(table) = table else { continue };
            let placed = workload.and_then(|workload| self.placed(workload, dialled));
            demand.add(LimitedMap::Routes, u64::from(placed.is_none()));
            demand.add(LimitedMap::Backends, table.backends.len() as u64);
            let key = workload.map(|workload| key(workload, *dialled));
            let is_counted = |name: &RefName| key.is_some_and(|key| self.slots.get(&key, name).is_some());
            let uncounted = table.names().filter(|name| !is_counted(name)).count();
            demand.add(LimitedMap::Outcomes, uncounted as u64);
            for endpoints in table.backends.iter().map(|backend| &backend.endpoints) {
                if seen.insert(Arc::as_ptr(endpoints).addr()) && self.endpoints.get(endpoints).is_none() {
                    demand.add(LimitedMap::Endpoints, endpoints.len() as u64);
                }
            }
            if let Some(turns) = &table.turns {
                demand.add(LimitedMap::Cursors, 1);
                if seen.insert(Arc::as_ptr(turns).addr()) && self.turns.get(turns).is_none() {
                    demand.add(LimitedMap::Turns, turns.iter().map(|&weight| u64::from(weight)).sum());
                }
            }
        }
        demand
    }

    fn place(
        &mut self,
        key: RouteKey,
        table: &Arc<RouteTable>,
        counting: Counting,
        change: &mut Change,
    ) -> Result<Placed, OverLimit> {
        let over = |map, wanted: usize, taken: Limits, limits: Limits| OverLimit {
            map,
            needed: u64::from(taken.get(map)) + wanted as u64,
            limit: limits.get(map),
        };
        let len = u32::try_from(table.backends.len()).unwrap_or(u32::MAX);
        let Some(run) = self.backends.take(len) else {
            return Err(over(LimitedMap::Backends, table.backends.len(), self.taken(), self.limits));
        };
        let mut entries = Vec::with_capacity(table.backends.len());
        let mut result = Ok(());
        for backend in &table.backends {
            let Some((endpoints, is_new)) = self
                .endpoints
                .take(&backend.endpoints, u32::try_from(backend.endpoints.len()).unwrap_or(u32::MAX))
            else {
                let wanted = backend.endpoints.len();
                result = Err(over(LimitedMap::Endpoints, wanted, self.taken(), self.limits));
                break;
            };
            if is_new {
                change.endpoints.push((endpoints.first, Arc::clone(&backend.endpoints)));
            }
            entries.push((backend, endpoints));
        }
        let round = result.and_then(|()| {
            let counts: Vec<u32> = table
                .names()
                .map(|name| self.count(key, name, counting, change))
                .collect::<Result<_, _>>()?;
            let round = self.place_turns(&key, table, change)?;
            Ok((counts, round))
        });
        let (counts, round) = match round {
            Ok(all) => all,
            Err(error) => {
                // Nobody was told of any of it.
                self.backends.give_back(run);
                for (backend, _) in entries {
                    if let Some(run) = self.endpoints.leave(&backend.endpoints) {
                        self.endpoints.give_back(run);
                    }
                }
                return Err(error);
            }
        };
        if !entries.is_empty() {
            let entries =
                entries.into_iter().zip(counts).map(|((backend, run), slot)| entry(backend, run, slot));
            change.backends.push((run.first, entries.collect()));
        }
        Ok(Placed { table: Arc::clone(table), first_backend: run.first, round })
    }

    /// The entry of `outcomes` for a backendRef, a new one if it has none.
    fn count(
        &mut self,
        key: RouteKey,
        name: &Arc<RefName>,
        counting: Counting,
        change: &mut Change,
    ) -> Result<u32, OverLimit> {
        match self.slots.take(key, name) {
            Some((slot, is_new)) => {
                if is_new {
                    change.backend_refs.push((slot, name.entry(key)));
                    // Until the change is committed.
                    self.departed.insert(Departed { key, name: Arc::clone(name) });
                }
                Ok(slot)
            }
            None if counting == Counting::AsFarAsItGoes => Ok(0),
            None => {
                let needed = u64::from(self.limits.outcomes) + 1;
                Err(OverLimit { map: LimitedMap::Outcomes, needed, limit: self.limits.outcomes })
            }
        }
    }

    /// The turns of a route. While its weights stay it goes on where it stands, also with other endpoints; else it begins
    /// a round anew.
    fn place_turns(
        &mut self,
        key: &RouteKey,
        table: &RouteTable,
        change: &mut Change,
    ) -> Result<Option<Box<Round>>, OverLimit> {
        let Some(weights) = &table.turns else { return Ok(None) };
        let before = WorkloadId::new(key.workload).and_then(|workload| self.placed(workload, &key.dialled));
        if let Some(placed) = before
            && placed.table.turns == table.turns
        {
            return Ok(placed.round.clone());
        }
        let len: u32 = weights.iter().sum();
        let over = |map, wanted: u32, taken: Limits, limits: Limits| OverLimit {
            map,
            needed: u64::from(taken.get(map)) + u64::from(wanted),
            limit: limits.get(map),
        };
        let Some(cursor) = self.cursors.take(1) else {
            return Err(over(LimitedMap::Cursors, 1, self.taken(), self.limits));
        };
        let Some((run, is_new)) = self.turns.take(weights, len) else {
            self.cursors.give_back(cursor);
            return Err(over(LimitedMap::Turns, len, self.taken(), self.limits));
        };
        if is_new {
            change.turns.push((run.first, order(weights)));
        }
        change.cursors.push(cursor.first);
        Ok(Some(Box::new(Round { run, cursor: cursor.first })))
    }

    fn retire(&mut self, placed: &Placed, keeps_turns: bool, retired: &mut Retired) {
        if placed.run().len > 0 {
            retired.backends.push(placed.run());
        }
        for backend in &placed.table.backends {
            retired.endpoints.extend(self.endpoints.leave(&backend.endpoints));
        }
        if let (Some(weights), Some(round), false) = (&placed.table.turns, &placed.round, keeps_turns) {
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
