//! Routes that lead to names of which nothing is known yet stay what they were, for as long as an answer may take: a
//! backend without an address would refuse connections. Pure.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::routing::{Action, DataplaneRoutes, ResolvedRoute};

/// So long they are waited for. A look-up may take 5 s, if it has a turn at once.
const PATIENCE: Duration = Duration::from_secs(6);

/// The routes of a Dataplane that shall be in force.
#[derive(Debug)]
pub(super) struct Answered {
    routes: Arc<DataplaneRoutes>,
    /// Since when some are what they were before, if any are.
    waiting_since: Option<Instant>,
}

impl Answered {
    /// Of a Dataplane that had no routes before.
    pub(super) const fn new(routes: Arc<DataplaneRoutes>) -> Self {
        Self { routes, waiting_since: None }
    }

    pub(super) const fn routes(&self) -> &Arc<DataplaneRoutes> {
        &self.routes
    }

    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// Takes what was resolved last, as far as it can be in force. Whether waiting makes a difference to what was.
    pub(super) fn take(
        &mut self,
        resolved: &Arc<DataplaneRoutes>,
        known: &BTreeSet<String>,
        now: Instant,
    ) -> bool {
        if Arc::ptr_eq(&self.routes, resolved) {
            self.waiting_since = None;
            return false;
        }
        let since = self.waiting_since.unwrap_or(now);
        let kept = if now < since + PATIENCE { self.kept(resolved, known) } else { Vec::new() };
        let before = Arc::clone(&self.routes);
        if kept.is_empty() {
            self.routes = Arc::clone(resolved);
            return self.waiting_since.take().is_some();
        }
        self.waiting_since = Some(since);
        let mut routes = DataplaneRoutes::clone(resolved);
        for route in kept {
            routes.routes.insert(route);
        }
        let differs = routes != *before;
        if differs {
            self.routes = Arc::new(routes);
        }
        differs
    }

    /// The routes that stay.
    fn kept(&self, resolved: &DataplaneRoutes, known: &BTreeSet<String>) -> Vec<ResolvedRoute> {
        let is_known =
            |route: &ResolvedRoute| route.destination.names.iter().all(|name| known.contains(name));
        let changed = resolved.routes.changed_since(&self.routes.routes).into_values().flatten();
        let unknown = changed.filter(|route| !is_known(route));
        let before = unknown.filter_map(|route| self.routes.routes.same(route));
        // What was left to the proxy has no backends that could be kept.
        before.filter(|route| route.destination.action == Action::Route).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
