//! Everything that the maps hold, to be written to other maps at the same places.

use std::sync::Arc;

use tcproute_common::RouteKey;

use super::{Layout, entry, key};
use crate::plan::{
    change::{Change, RouteChange},
    turns::order,
};

impl Layout {
    /// First what routes share, then the routes of one workload after the other. Cursors are not in it: where they
    /// stand only the programs know.
    pub fn fill(&self) -> impl Iterator<Item = Change> {
        let endpoints = self.endpoints.all().filter(|(_, run)| run.len > 0);
        let shared = Change {
            endpoints: endpoints.map(|(content, run)| (run.first, Arc::clone(content))).collect(),
            turns: self.turns.all().map(|(weights, run)| (run.first, order(weights))).collect(),
            backend_refs: self.counted.all().map(|(&key, name, at)| (at, name.entry(key))).collect(),
            ..Change::default()
        };
        let workloads = self.routes.iter().map(|(&workload, routes)| {
            let mut change = Change::default();
            for (&dialled, placed) in &routes.placed {
                let key: RouteKey = key(workload, dialled);
                let entries = placed.table.backends.iter().map(|backend| {
                    let endpoints = self.endpoints.get(&backend.endpoints);
                    let at = self.counted.get(&key, &backend.name).unwrap_or(0);
                    entry(backend, endpoints.expect("what a route leads to stands somewhere"), at)
                });
                if !placed.table.backends.is_empty() {
                    change.backends.push((placed.first_backend, entries.collect()));
                }
                change.routes.push(RouteChange { key, old: None, new: Some(placed.value()) });
            }
            change
        });
        std::iter::once(shared).chain(workloads)
    }

    /// The cursors that routes have.
    pub fn cursors(&self) -> impl Iterator<Item = u32> {
        let placed = self.routes.values().flat_map(|routes| routes.placed.values());
        placed.filter_map(|placed| placed.round.as_ref().map(|round| round.cursor))
    }
}
