//! The layout of maps that are in use already: those that an earlier daemon left in the kernel.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use rustc_hash::FxHashMap;
use tcproute_common::{Backend, BackendRef, RouteKey, RouteValue, SocketAddress};
use thiserror::Error;

use super::{Departed, Layout, Limits, Placed, Round, Run};
use crate::plan::{
    counted::RefName,
    shared::Clash,
    table::{BackendTable, RouteTable},
    workload_id::WorkloadId,
};

/// What maps hold, as far as routes lead to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// All routes.
    pub routes: BTreeMap<RouteKey, RouteValue>,
    /// Backends by their index.
    pub backends: FxHashMap<u32, Backend>,
    /// Endpoints by their index.
    pub endpoints: FxHashMap<u32, SocketAddress>,
    /// Turns by their index.
    pub turns: FxHashMap<u32, u32>,
    /// All backendRefs that are counted, by their index in `outcomes`.
    pub backend_refs: BTreeMap<u32, BackendRef>,
}

/// No daemon of this version has written these maps.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the maps in the kernel contradict themselves: {0}")]
pub struct Inconsistent(pub(crate) &'static str);

/// The entry of `outcomes` of what is not counted.
const UNCOUNTED: u32 = 0;

impl Layout {
    /// The layout of maps of this size with these contents.
    pub fn adopt(limits: Limits, contents: &Contents) -> Result<Self, Inconsistent> {
        let mut layout = Self::new(limits);
        let mut names = FxHashMap::default();
        for (&at, backend_ref) in &contents.backend_refs {
            let name = layout.counted.take_at(at, backend_ref);
            let name = name.ok_or(Inconsistent("two backendRefs have the same counts"))?;
            names.insert(at, (backend_ref.route, name));
        }
        // Most workloads have the routes of others, too.
        let mut tables: HashSet<Arc<RouteTable>> = HashSet::new();
        for (&key, value) in &contents.routes {
            possible(&key.dialled)?;
            let workload = WorkloadId::new(key.workload).ok_or(Inconsistent("a route is of no workload"))?;
            let run = Run { first: value.first_backend, len: value.backend_count };
            if !layout.backends.take_at(run) {
                return Err(Inconsistent("two routes have the same backend"));
            }
            let indices = run.first..run.first.saturating_add(run.len);
            let backends = indices.map(|index| {
                let backend =
                    contents.backends.get(&index).ok_or(Inconsistent("a route leads to no backend"))?;
                let name = match names.get(&backend.outcomes) {
                    Some((route, name)) if *route == key => Arc::clone(name),
                    Some(_) => return Err(Inconsistent("a backend counts for another route")),
                    None if backend.outcomes != UNCOUNTED => {
                        return Err(Inconsistent("a backend counts for nobody"));
                    }
                    // Its name is not known.
                    None => Arc::new(RefName { target: String::new(), nth: index }),
                };
                if backend.alias >= run.len {
                    return Err(Inconsistent("an alias leads to no backend"));
                }
                layout.adopt_backend(name, backend, &contents.endpoints)
            });
            let backends: Box<[BackendTable]> = backends.collect::<Result<_, _>>()?;
            // Perhaps more than have the weight 0: those that have left look the same.
            let is_idle = |name: &&Arc<RefName>| backends.iter().all(|backend| backend.name != **name);
            let idle = layout.counted.of_route(&key).filter(is_idle).cloned().collect();
            let (round, turns) = layout.adopt_round(value, &contents.turns)?.unzip();
            let table = Arc::new(RouteTable { backends, idle, turns });
            let table = tables.get(&table).map_or_else(|| Arc::clone(&table), Arc::clone);
            tables.insert(Arc::clone(&table));
            let placed = Placed { table, first_backend: if run.len > 0 { run.first } else { 0 }, round };
            layout.routes.entry(workload).or_default().put(key.dialled, Some(placed));
            layout.count += 1;
        }
        let departed = layout.counted.all().filter(|(key, ..)| !contents.routes.contains_key(key));
        let departed = departed.map(|(&key, name, _)| Departed { key, name: Arc::clone(name) });
        layout.departed = departed.collect();
        Ok(layout)
    }

    fn adopt_backend(
        &mut self,
        name: Arc<RefName>,
        backend: &Backend,
        endpoints: &FxHashMap<u32, SocketAddress>,
    ) -> Result<BackendTable, Inconsistent> {
        let run = Run { first: backend.first_endpoint, len: backend.endpoint_count };
        let endpoints = entries(endpoints, run).ok_or(Inconsistent("a backend leads to no endpoint"))?;
        endpoints.iter().try_for_each(possible)?;
        let endpoints = self.endpoints.take_at(endpoints.into(), run).map_err(|clash| match clash {
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
        turns: &FxHashMap<u32, u32>,
    ) -> Result<Option<Adopted>, Inconsistent> {
        if value.turn_count == 0 {
            return Ok(None);
        }
        let run = Run { first: value.first_turn, len: value.turn_count };
        let turns = entries(turns, run).ok_or(Inconsistent("a route leads to no turn"))?;
        let mut weights = vec![0; value.backend_count as usize];
        for turn in turns {
            *weights.get_mut(turn as usize).ok_or(Inconsistent("a turn leads to no backend"))? += 1;
        }
        let weights = self.turns.take_at(weights.into(), run).map_err(|clash| match clash {
            Clash::Twice => Inconsistent("the same turns are there twice"),
            Clash::Overlap => Inconsistent("two runs of turns overlap"),
        })?;
        if !self.cursors.take_at(Run { first: value.cursor, len: 1 }) {
            return Err(Inconsistent("two routes have the same cursor"));
        }
        Ok(Some((Box::new(Round { run, cursor: value.cursor }), weights)))
    }
}

fn possible(address: &SocketAddress) -> Result<(), Inconsistent> {
    if address.port > u32::from(u16::MAX) { Err(Inconsistent("an address has no such port")) } else { Ok(()) }
}

/// A round, and the weights that its turns are made from.
type Adopted = (Box<Round>, Arc<[u32]>);

/// What stands in a run, if all of it is known.
fn entries<T: Copy>(of: &FxHashMap<u32, T>, run: Run) -> Option<Vec<T>> {
    if run.len as usize > of.len() {
        return None;
    }
    (run.first..run.first.saturating_add(run.len)).map(|index| of.get(&index).copied()).collect()
}
