//! The maps that say where connections go, and what became of them.

use std::collections::hash_map::Entry;

use anyhow::{Context, Result, anyhow};
use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError},
};
use tcproute_common::{Backend, BackendRef, Cursor, RouteKey, RouteValue, SocketAddress};
use tracing::warn;

use super::{
    maps::{remove, take},
    outcomes::OutcomeMap,
};
use crate::plan::{Change, Contents, RouteChange};

/// All of them.
pub(super) struct Tables {
    routes: HashMap<MapData, RouteKey, RouteValue>,
    backends: Array<MapData, Backend>,
    endpoints: Array<MapData, SocketAddress>,
    turns: Array<MapData, u32>,
    cursors: Array<MapData, Cursor>,
    /// What became of the connections.
    pub(super) outcomes: OutcomeMap,
    backend_refs: HashMap<MapData, u32, BackendRef>,
}

impl Tables {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            routes: take(ebpf, "routes")?,
            backends: take(ebpf, "backends")?,
            endpoints: take(ebpf, "endpoints")?,
            turns: take(ebpf, "turns")?,
            cursors: take(ebpf, "cursors")?,
            outcomes: OutcomeMap::new(take(ebpf, "outcomes")?, take(ebpf, "carried")?),
            backend_refs: take(ebpf, "backend_refs")?,
        })
    }

    /// Everything that routes lead to, and the backendRefs.
    pub(super) fn contents(&self) -> Result<Contents> {
        let mut contents = Contents::default();
        for route in &self.routes {
            let (key, value) = route.context("cannot read the map routes")?;
            contents.routes.insert(key, value);
            for index in value.first_backend..value.first_backend.saturating_add(value.backend_count) {
                let backend = self.backends.get(&index, 0).context("cannot read the map backends")?;
                contents.backends.insert(index, backend);
                for index in
                    backend.first_endpoint..backend.first_endpoint.saturating_add(backend.endpoint_count)
                {
                    let endpoint = self.endpoints.get(&index, 0).context("cannot read the map endpoints")?;
                    contents.endpoints.insert(index, endpoint);
                }
            }
            for index in value.first_turn..value.first_turn.saturating_add(value.turn_count) {
                if let Entry::Vacant(turn) = contents.turns.entry(index) {
                    turn.insert(self.turns.get(&index, 0).context("cannot read the map turns")?);
                }
            }
        }
        for backend_ref in &self.backend_refs {
            let (slot, backend_ref) = backend_ref.context("cannot read the map backend_refs")?;
            contents.backend_refs.insert(slot, backend_ref);
        }
        Ok(contents)
    }

    /// Applies a change. If a write fails, the routes that were replaced already are put back, so that the
    /// state before stays in force.
    pub(super) fn apply(&mut self, change: &Change) -> Result<()> {
        for (first, endpoints) in &change.endpoints {
            for (index, endpoint) in (*first..).zip(&**endpoints) {
                self.endpoints.set(index, endpoint, 0).context("cannot write the map endpoints")?;
            }
        }
        for (first, backends) in &change.backends {
            for (index, backend) in (*first..).zip(backends) {
                self.backends.set(index, backend, 0).context("cannot write the map backends")?;
            }
        }
        for (first, turns) in &change.turns {
            for (index, turn) in (*first..).zip(turns) {
                self.turns.set(index, turn, 0).context("cannot write the map turns")?;
            }
        }
        for (slot, backend_ref) in &change.backend_refs {
            self.backend_refs.insert(slot, backend_ref, 0).context("cannot write the map backend_refs")?;
        }
        for &cursor in &change.cursors {
            self.cursors.set(cursor, Cursor::START, 0).context("cannot write the map cursors")?;
        }
        for (done, route) in change.routes.iter().enumerate() {
            if let Err(error) = self.write_route(route.key, route.new) {
                let undone = change.routes[..done]
                    .iter()
                    .try_for_each(|RouteChange { key, old, .. }| self.write_route(*key, *old));
                if let Err(again) = undone {
                    warn!("the state before could not be restored: {again}");
                }
                return Err(anyhow!(error).context("cannot write the map routes"));
            }
        }
        Ok(())
    }

    /// Takes over where routes stand in their rounds.
    pub(super) fn copy_cursors(&mut self, from: &Self, cursors: impl Iterator<Item = u32>) -> Result<()> {
        for index in cursors {
            let Cursor { next, .. } = from.cursors.get(&index, 0).context("cannot read the map cursors")?;
            let cursor = Cursor { next, ..Cursor::START };
            self.cursors.set(index, cursor, 0).context("cannot write the map cursors")?;
        }
        Ok(())
    }

    fn write_route(&mut self, key: RouteKey, value: Option<RouteValue>) -> Result<(), MapError> {
        match value {
            Some(value) => self.routes.insert(key, value, 0),
            None => remove(&mut self.routes, &key),
        }
    }

    /// Empties an entry of `outcomes`, and what names it.
    pub(super) fn clear_outcomes(&mut self, slot: u32) -> Result<()> {
        self.outcomes.clear(slot)?;
        remove(&mut self.backend_refs, &slot).context("cannot write the map backend_refs")
    }
}
