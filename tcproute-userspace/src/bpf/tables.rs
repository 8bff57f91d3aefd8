//! The maps that say where connections go, and what became of them.

use anyhow::{Context, Result, anyhow};
use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError},
};
use tcproute_common::{Backend, BackendRef, Cursor, RouteKey, RouteValue, SealedRoute, SocketAddress};
use tracing::warn;

use super::{
    batch::write_all,
    maps::{remove, take},
    outcomes::{Before, OutcomeMap},
};
use crate::plan::{Change, Contents, Inconsistent, Run, Runs};

/// All of them.
pub(super) struct Tables {
    routes: HashMap<MapData, RouteKey, SealedRoute>,
    backends: Array<MapData, Backend>,
    endpoints: Array<MapData, SocketAddress>,
    turns: Array<MapData, u32>,
    cursors: Array<MapData, Cursor>,
    /// What became of the connections.
    pub(super) outcomes: OutcomeMap,
    backend_refs: HashMap<MapData, u32, BackendRef>,
}

impl Tables {
    /// Those of the object, and the maps of outcomes that were too small.
    pub(super) fn take(ebpf: &mut Ebpf, before: Vec<Before>) -> Result<Self> {
        Ok(Self {
            routes: take(ebpf, "routes")?,
            backends: take(ebpf, "backends")?,
            endpoints: take(ebpf, "endpoints")?,
            turns: take(ebpf, "turns")?,
            cursors: take(ebpf, "cursors")?,
            outcomes: OutcomeMap::new(take(ebpf, "outcomes")?, take(ebpf, "carried")?, before),
            backend_refs: take(ebpf, "backend_refs")?,
        })
    }

    /// Everything that routes lead to, and the backendRefs. The error is an `Inconsistent` if that cannot be.
    pub(super) fn contents(&self) -> Result<Contents> {
        let mut contents = Contents::default();
        let mut backends = Runs::new(self.backends.len());
        let mut endpoints = Runs::new(self.endpoints.len());
        let mut turns = Runs::new(self.turns.len());
        for route in &self.routes {
            let (key, sealed) = route.context("cannot read the map routes")?;
            let value =
                sealed.open(key.seal()).ok_or(Inconsistent("a route is sealed for another address"))?;
            contents.routes.insert(key, value);
            for index in backends.read(Run { first: value.first_backend, len: value.backend_count })? {
                let backend = self.backends.get(&index, 0).context("cannot read the map backends")?;
                contents.backends.insert(index, backend);
                let run = Run { first: backend.first_endpoint, len: backend.endpoint_count };
                for index in endpoints.read(run)? {
                    let endpoint = self.endpoints.get(&index, 0).context("cannot read the map endpoints")?;
                    contents.endpoints.insert(index, endpoint);
                }
            }
            for index in turns.read(Run { first: value.first_turn, len: value.turn_count })? {
                contents.turns.insert(index, self.turns.get(&index, 0).context("cannot read the map turns")?);
            }
        }
        for backend_ref in &self.backend_refs {
            let (at, backend_ref) = backend_ref.context("cannot read the map backend_refs")?;
            contents.backend_refs.insert(at, backend_ref);
        }
        Ok(contents)
    }

    /// Applies a change. If a write fails, the routes are put back, so that the state before stays in force.
    pub(super) fn apply(&mut self, change: &Change) -> Result<()> {
        let endpoints = change.endpoints.iter().flat_map(|(first, run)| (*first..).zip(run.iter().copied()));
        write_all(&mut self.endpoints, endpoints).context("cannot write the map endpoints")?;
        let backends = change.backends.iter().flat_map(|(first, run)| (*first..).zip(run.iter().copied()));
        write_all(&mut self.backends, backends).context("cannot write the map backends")?;
        let turns = change.turns.iter().flat_map(|(first, run)| (*first..).zip(run.iter().copied()));
        write_all(&mut self.turns, turns).context("cannot write the map turns")?;
        write_all(&mut self.backend_refs, change.backend_refs.iter().copied())
            .context("cannot write the map backend_refs")?;
        for &cursor in &change.cursors {
            self.cursors.set(cursor, Cursor::START, 0).context("cannot write the map cursors")?;
        }
        let new = change.routes.iter().filter_map(|it| Some((it.key, SealedRoute::new(&it.key, it.new?))));
        let written = write_all(&mut self.routes, new);
        let removed = change.routes.iter().filter(|route| route.new.is_none());
        let done = written
            .and_then(|()| removed.map(|it| it.key).try_for_each(|key| remove(&mut self.routes, &key)));
        if let Err(error) = done {
            // Those that were not written yet have their old value already.
            let undone = change.routes.iter().try_for_each(|route| self.write_route(route.key, route.old));
            if let Err(again) = undone {
                warn!("the state before could not be restored: {again}");
            }
            return Err(anyhow!(error).context("cannot write the map routes"));
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
            Some(value) => self.routes.insert(key, SealedRoute::new(&key, value), 0),
            None => remove(&mut self.routes, &key),
        }
    }

    /// Empties an entry of `outcomes`, and what names it.
    pub(super) fn clear_outcomes(&mut self, at: u32) -> Result<()> {
        self.outcomes.clear(at)?;
        remove(&mut self.backend_refs, &at).context("cannot write the map backend_refs")
    }
}
