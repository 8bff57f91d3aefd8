//! The change of a workload's routes: room is taken for what is new, it is written, and what it replaces is given up.

use std::{collections::BTreeSet, sync::Arc};

use tcproute_common::{RouteKey, SocketAddress};

use super::{Layout, Placed, Round, entry, key};
use crate::plan::{
    change::{Change, Retired, RouteChange},
    counted::{Departed, RefName},
    limits::{Demand, LimitedMap, Limits, OverLimit},
    table::RouteTable,
    turns::order,
    workload_id::WorkloadId,
};

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

impl Layout {
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
                let (wanted, taken) = (1, count as u64 - 1);
                return Err(OverLimit { map: LimitedMap::Routes, wanted, taken, limit: self.limits.routes });
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

    /// What was staged is in force. What no route leads to any more is reused on the word of who can see that nobody
    /// reads it: see [`Self::reuse`].
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
                if !stays && self.counted.get(&key, name).is_some() {
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
                if self.counted.get(&key, name).is_some() {
                    self.departed.insert(Departed { key, name: Arc::clone(name) });
                }
            }
            self.retire(&new, keeps_turns, &mut retired);
        }
        retired
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
            let is_counted = |name: &RefName| key.is_some_and(|key| self.counted.get(&key, name).is_some());
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
            wanted: wanted as u64,
            taken: taken.get(map).into(),
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
            let entries = entries.into_iter().zip(counts).map(|((backend, run), at)| entry(backend, run, at));
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
        match self.counted.take(key, name) {
            Some((at, is_new)) => {
                if is_new {
                    change.backend_refs.push((at, name.entry(key)));
                    // Until the change is committed.
                    self.departed.insert(Departed { key, name: Arc::clone(name) });
                }
                Ok(at)
            }
            None if counting == Counting::AsFarAsItGoes => Ok(0),
            None => {
                let limit = self.limits.outcomes;
                Err(OverLimit { map: LimitedMap::Outcomes, wanted: 1, taken: limit.into(), limit })
            }
        }
    }

    /// The turns of a route. While its weights stay it goes on where it stands, also with other endpoints; else it
    /// begins a round anew.
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
            wanted: wanted.into(),
            taken: taken.get(map).into(),
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
