//! The layout of maps that are in use already: those that an earlier daemon left in the kernel.

use std::collections::{BTreeMap, BTreeSet};

use tcproute_common::{Backend, BackendRef, RouteKey, RouteValue, SocketAddress};
use thiserror::Error;

use super::{Layout, Limits, Placed, Round, Run};
use crate::plan::{
    shared::Clash,
    slots::RefName,
    table::{BackendTable, RouteTable},
};

/// What maps hold, as far as routes lead to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// All routes.
    pub routes: BTreeMap<RouteKey, RouteValue>,
    /// Backends by their index.
    pub backends: BTreeMap<u32, Backend>,
    /// Endpoints by their index.
    pub endpoints: BTreeMap<u32, SocketAddress>,
    /// Turns by their index.
    pub turns: BTreeMap<u32, u32>,
    /// All backendRefs that are counted, by their index in `outcomes`.
    pub backend_refs: BTreeMap<u32, BackendRef>,
}

/// No daemon of this version has written these maps.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the maps in the kernel contradict themselves: {0}")]
pub struct Inconsistent(pub(super) &'static str);

impl Layout {
    /// The layout of maps of this size with these contents.
    pub fn adopt(limits: Limits, contents: &Contents) -> Result<Self, Inconsistent> {
        let mut layout = Self::new(limits);
        let mut names = BTreeMap::new();
        for (&slot, backend_ref) in &contents.backend_refs {
            let name = layout.slots.take_at(slot, backend_ref);
            let name = name.ok_or(Inconsistent("two backendRefs have the same counts"))?;
            names.insert(slot, (backend_ref.route, name));
        }
        for (&key, value) in &contents.routes {
            let run = Run { first: value.first_backend, len: value.backend_count };
            if !layout.backends.take_at(run) {
                return Err(Inconsistent("two routes have the same backend"));
            }
            let indices = run.first..run.first.saturating_add(run.len);
            let backends = indices.map(|index| {
                let backend =
                    contents.backends.get(&index).ok_or(Inconsistent("a route leads to no backend"))?;
                let name = match names.get(&backend.outcomes) {
                    Some((route, name)) if *route == key => name.clone(),
                    Some(_) => return Err(Inconsistent("a backend counts for another route")),
                    // It is not counted, and its name is not known.
                    None => RefName { target: String::new(), nth: index },
                };
                layout.adopt_backend(name, backend, &contents.endpoints)
            });
            let backends: Vec<BackendTable> = backends.collect::<Result<_, _>>()?;
            let weighted: BTreeSet<&RefName> = backends.iter().map(|backend| &backend.name).collect();
            // Perhaps more than have the weight 0: those that have left look the same.
            let idle = layout.slots.of_route(&key).filter(|name| !weighted.contains(name)).cloned().collect();
            let (round, turns) = layout.adopt_round(value, &contents.turns)?.unzip();
            let table = RouteTable { backends, idle, turns };
            layout.routes.insert(key, Placed { run, turns: round, table });
        }
        Ok(layout)
    }

    fn adopt_backend(
        &mut self,
        name: RefName,
        backend: &Backend,
        endpoints: &BTreeMap<u32, SocketAddress>,
    ) -> Result<BackendTable, Inconsistent> {
        let run = Run { first: backend.first_endpoint, len: backend.endpoint_count };
        let endpoints = entries(endpoints, run).ok_or(Inconsistent("a backend leads to no endpoint"))?;
        self.endpoints.take_at(&endpoints, run).map_err(|clash| match clash {
            Clash::Twice => Inconsistent("the same endpoints are there twice"),
            Clash::Overlap => Inconsistent("two runs of endpoints overlap"),
        })?;
        Ok(BackendTable {
            name,
            weight: backend.weight,
            threshold: backend.threshold,
            alias: backend.alias,
            endpoints,
        })
    }

    /// The turns of a route and the weights that they are made from; `None` if it has none.
    fn adopt_round(
        &mut self,
        value: &RouteValue,
        turns: &BTreeMap<u32, u32>,
    ) -> Result<Option<(Round, Vec<u32>)>, Inconsistent> {
        if value.turn_count == 0 {
            return Ok(None);
        }
        let run = Run { first: value.first_turn, len: value.turn_count };
        let turns = entries(turns, run).ok_or(Inconsistent("a route leads to no turn"))?;
        let mut weights = vec![0; value.backend_count as usize];
        for turn in turns {
            *weights.get_mut(turn as usize).ok_or(Inconsistent("a turn leads to no backend"))? += 1;
        }
        self.turns.take_at(&weights, run).map_err(|clash| match clash {
            Clash::Twice => Inconsistent("the same turns are there twice"),
            Clash::Overlap => Inconsistent("two runs of turns overlap"),
        })?;
        let cursor = Run { first: value.cursor, len: 1 };
        if !self.cursors.take_at(cursor) {
            return Err(Inconsistent("two routes have the same cursor"));
        }
        Ok(Some((Round { run, cursor }, weights)))
    }
}

/// What stands in a run, if all of it is known.
fn entries<T: Copy>(of: &BTreeMap<u32, T>, run: Run) -> Option<Vec<T>> {
    (run.first..run.first.saturating_add(run.len)).map(|index| of.get(&index).copied()).collect()
}
