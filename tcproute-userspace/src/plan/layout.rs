//! Where in the maps every route, backend and endpoint stands, and what has to be written to get from one
//! table to the next.
//!
//! Nothing that a route leads to is ever written in place. A route whose backends or endpoints change gets a
//! new run of backends, and then its one entry in `routes` is replaced, which is atomic. Runs of endpoints
//! are shared by all backends that have the same ones.

use std::collections::{BTreeMap, BTreeSet};

use tcproute_common::{Backend, RouteKey, RouteValue, SocketAddress};
use thiserror::Error;

use super::{
    change::{Change, RouteChange, Run},
    slots::{Departed, RefName, Slots},
    space::Space,
    table::{BackendTable, RouteTable, Table},
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
}

/// The table does not fit into the maps. Nothing was changed.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{needed} {what} are needed at once, but the map was made for {limit}; \
     the map is made larger when tcproute is started anew with these resources"
)]
pub struct OverLimit {
    /// `routes`, `backends` or `endpoints`.
    pub what: &'static str,
    /// What the table takes, beside what is still in use from before.
    pub needed: usize,
    /// The map's capacity.
    pub limit: u32,
}

/// What the maps hold at present.
#[derive(Debug, Clone)]
pub struct Layout {
    limits: Limits,
    routes: BTreeMap<RouteKey, Placed>,
    endpoint_runs: BTreeMap<Vec<SocketAddress>, SharedRun>,
    backend_space: Space,
    endpoint_space: Space,
    slots: Slots,
}

#[derive(Debug, Clone)]
struct Placed {
    run: Run,
    table: RouteTable,
}

impl Placed {
    const fn value(&self) -> RouteValue {
        RouteValue { first_backend: self.run.first, backend_count: self.run.len }
    }
}

#[derive(Debug, Clone)]
struct SharedRun {
    run: Run,
    /// Backends that lead here.
    users: usize,
}

impl Layout {
    /// Of empty maps.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            routes: BTreeMap::new(),
            endpoint_runs: BTreeMap::new(),
            backend_space: Space::new(limits.backends),
            endpoint_space: Space::new(limits.endpoints),
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
            let stays = table.routes.get(&key).is_some_and(|wanted| placed.table == *wanted);
            if !stays {
                next.retire(placed, &mut change);
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
    pub fn reuse(&mut self, endpoints: &[Run], backends: &[Run]) {
        for &run in endpoints {
            self.endpoint_space.give_back(run);
        }
        for &run in backends {
            self.backend_space.give_back(run);
        }
    }

    /// The entry of `outcomes` that counts for a backendRef.
    pub fn slot(&self, key: &RouteKey, name: &RefName) -> Option<u32> {
        Some(self.slots.get(key, name)).filter(|&slot| slot != 0)
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
            .backend_space
            .take(len)
            .ok_or_else(|| over("backends", table.size().backends, self.limits.backends))?;
        let mut entries = Vec::with_capacity(wanted.backends.len());
        for backend in &wanted.backends {
            let endpoints = self
                .share(&backend.endpoints, change)
                .ok_or_else(|| over("endpoints", table.size().endpoints, self.limits.endpoints))?;
            entries.push(entry(backend, endpoints, self.slots.take(key, &backend.name)));
        }
        for name in &wanted.idle {
            self.slots.take(key, name);
        }
        if !entries.is_empty() {
            change.backends.push((run.first, entries));
        }
        let placed = Placed { run, table: wanted.clone() };
        let value = placed.value();
        self.routes.insert(key, placed);
        Ok(value)
    }

    /// The run of these endpoints, a new one if no backend has the same.
    fn share(&mut self, endpoints: &[SocketAddress], change: &mut Change) -> Option<Run> {
        if let Some(shared) = self.endpoint_runs.get_mut(endpoints) {
            shared.users += 1;
            return Some(shared.run);
        }
        let run = self.endpoint_space.take(u32::try_from(endpoints.len()).ok()?)?;
        if run.len > 0 {
            change.endpoints.push((run.first, endpoints.to_vec()));
        }
        self.endpoint_runs.insert(endpoints.to_vec(), SharedRun { run, users: 1 });
        Some(run)
    }

    fn retire(&mut self, placed: &Placed, change: &mut Change) {
        if placed.run.len > 0 {
            change.retired_backends.push(placed.run);
        }
        for backend in &placed.table.backends {
            let Some(shared) = self.endpoint_runs.get_mut(&backend.endpoints) else { continue };
            shared.users -= 1;
            if shared.users == 0 {
                if shared.run.len > 0 {
                    change.retired_endpoints.push(shared.run);
                }
                self.endpoint_runs.remove(&backend.endpoints);
            }
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
