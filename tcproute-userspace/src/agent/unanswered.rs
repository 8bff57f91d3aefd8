//! Routes that lead to names of which nothing is known yet stay what they were, for as long as an answer may take: a
//! backend without an address would refuse connections. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::routing::{Action, DataplaneRoutes, ResolvedRoute};

/// So long they are waited for. A look-up may take 5 s, if it has a turn at once.
const PATIENCE: Duration = Duration::from_secs(6);

/// The routes of a Dataplane that shall be in force.
#[derive(Debug)]
pub(super) struct Answered {
    routes: Arc<DataplaneRoutes>,
    /// Where they are what they were before, and since when.
    waiting: BTreeMap<SocketAddr, Instant>,
}

impl Answered {
    /// Of a Dataplane that had no routes before.
    pub(super) const fn new(routes: Arc<DataplaneRoutes>) -> Self {
        Self { routes, waiting: BTreeMap::new() }
    }

    pub(super) const fn routes(&self) -> &Arc<DataplaneRoutes> {
        &self.routes
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes what was resolved last, as far as it can be in force. Whether waiting makes a difference to what was.
    pub(super) fn take(
        &mut self,
        resolved: &Arc<DataplaneRoutes>,
        known: &BTreeSet<String>,
        now: Instant,
    ) -> bool {
        if Arc::ptr_eq(&self.routes, resolved) {
            self.waiting.clear();
            return false;
        }
        let kept = self.kept(resolved, known, now);
        let was_waiting = self.is_waiting();
        let since = |dialled| self.waiting.get(&dialled).copied().unwrap_or(now);
        self.waiting = kept.iter().map(|route| (route.dialled, since(route.dialled))).collect();
        if kept.is_empty() {
            self.routes = Arc::clone(resolved);
            return was_waiting;
        }
        let mut routes = DataplaneRoutes::clone(resolved);
        for route in kept {
            routes.routes.insert(route);
        }
        let differs = routes != *self.routes;
        if differs {
            self.routes = Arc::new(routes);
        }
        differs
    }

    /// The routes that stay.
    fn kept(&self, resolved: &DataplaneRoutes, known: &BTreeSet<String>, now: Instant) -> Vec<ResolvedRoute> {
        let is_known =
            |route: &ResolvedRoute| route.destination.names.iter().all(|name| known.contains(name));
        let was_waited_for =
            |dialled| self.waiting.get(&dialled).is_some_and(|since| *since + PATIENCE <= now);
        let changed = resolved.routes.changed_since(&self.routes.routes).into_values().flatten();
        let unknown = changed.filter(|route| !is_known(route) && !was_waited_for(route.dialled));
        let before = unknown.filter_map(|route| self.routes.routes.same(route));
        // What was left to the proxy has no backends that could be kept.
        before.filter(|route| route.destination.action == Action::Route).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
