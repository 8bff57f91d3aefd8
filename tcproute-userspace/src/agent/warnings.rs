//! What the operator should know of routes that are in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rustc_hash::FxHashSet;

use super::settle::Workload;
use crate::{
    plan::{MOST_TURNS, Selection, has_too_many_turns},
    resources::Denial,
    routing::DataplaneRoutes,
    workloads::cgroups::CgroupId,
};

/// The routes of all workloads, each once.
pub(super) fn distinct_routes(workloads: &BTreeMap<CgroupId, Workload>) -> Vec<Arc<DataplaneRoutes>> {
    let mut seen = FxHashSet::default();
    let routes = workloads.values().filter_map(|workload| workload.routes.as_ref());
    routes.filter(|routes| seen.insert(Arc::as_ptr(routes).addr())).cloned().collect()
}

/// What there is to say of routes.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    /// What the operator should know.
    pub(super) warnings: BTreeSet<String>,
    /// How many addresses do not count, by why.
    pub(super) denied: BTreeMap<Denial, u32>,
}

/// All that is to be said of them. Takes as long as there are many routes, so it is not done on the way of a change.
pub(super) fn remarks(all: &[Arc<DataplaneRoutes>], selection: Selection) -> Remarks {
    let mut warnings = BTreeSet::new();
    let mut denied = BTreeSet::new();
    let mut seen = FxHashSet::default();
    for routes in all {
        let DataplaneRoutes { dataplane, .. } = &**routes;
        warnings.extend(routes.not_enforced().iter().map(|policy| {
            format!("{policy} is not enforced on connections of {dataplane} that bypass the proxy")
        }));
        warnings.extend(routes.conflicts.iter().cloned());
        denied.extend(&routes.denied);
        for route in &routes.routes {
            let destination = &route.destination;
            if !seen.insert(Arc::as_ptr(destination).addr()) {
                continue;
            }
            warnings.extend(destination.warnings.iter().cloned());
            denied.extend(&destination.denied);
            if selection == Selection::Even && has_too_many_turns(destination) {
                let (service, dialled) = (&destination.service, route.dialled);
                warnings.insert(format!(
                    "{service} at {dialled}: the weights make more than {MOST_TURNS} turns, so backends are chosen at random"
                ));
            }
        }
    }
    warnings.extend(denied.iter().map(ToString::to_string));
    let mut by_reason = BTreeMap::new();
    for address in denied {
        *by_reason.entry(address.why).or_default() += 1;
    }
    Remarks { warnings, denied: by_reason }
}
