//! What the operator should know of routes that are in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rustc_hash::FxHashSet;

use super::{GivenUpState, settle::Workload};
use crate::{
    plan::{MOST_TURNS, Selection, has_too_many_turns},
    resources::Denial,
    routing::{DataplaneRoutes, ResolvedRoute},
    workloads::cgroups::CgroupId,
};

/// The routes of all workloads, each once.
pub(super) fn distinct_routes(workloads: &BTreeMap<CgroupId, Workload>) -> Vec<Arc<DataplaneRoutes>> {
    let mut seen = FxHashSet::default();
    let routes = workloads.values().filter_map(|workload| workload.routes.as_ref());
    routes.filter(|routes| seen.insert(Arc::as_ptr(routes).addr())).cloned().collect()
}

/// So many services are named in a warning.
const FEW: usize = 3;
/// Of so many routes it is told what is given up; the warnings tell of all.
const MOST_GIVEN_UP: usize = 100;

/// What there is to say of routes.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    /// What the operator should know.
    pub(super) warnings: BTreeSet<String>,
    /// How many addresses do not count, by why.
    pub(super) denied: BTreeMap<Denial, u32>,
    /// What is given up on routes, of the first of them.
    pub(super) given_up: Vec<GivenUpState>,
}

/// All that is to be said of them. Takes as long as there are many routes, so it is not done on the way of a change.
pub(super) fn remarks(all: &[Arc<DataplaneRoutes>], selection: Selection) -> Remarks {
    let mut warnings = BTreeSet::new();
    let mut denied = BTreeSet::new();
    let mut given_up = Vec::new();
    let mut seen = FxHashSet::default();
    for routes in all {
        let DataplaneRoutes { dataplane, .. } = &**routes;
        let of_policies = routes.not_enforced();
        warnings.extend(of_policies.iter().map(|(policy, services)| {
            let to = to_services(services);
            format!("{policy} is not enforced on connections of {dataplane}{to} that bypass the proxy")
        }));
        warnings.extend(routes.conflicts.iter().cloned());
        denied.extend(&routes.denied);
        for route in &routes.routes {
            let destination = &route.destination;
            if given_up.len() < MOST_GIVEN_UP {
                given_up.extend(given_up_by(routes, route));
            }
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
    Remarks { warnings, denied: by_reason, given_up }
}

/// The services that a policy is about, if they are not all.
fn to_services(services: &BTreeSet<&str>) -> String {
    match services.len() {
        0 => String::new(),
        count if count > FEW => format!(" to {count} services"),
        _ => format!(" to {}", services.iter().copied().collect::<Vec<_>>().join(", ")),
    }
}

/// What is given up on a route, if it is more than the proxy.
fn given_up_by(routes: &DataplaneRoutes, route: &ResolvedRoute) -> Option<GivenUpState> {
    let (not_enforced, plaintext) = route.given_up(&routes.other_policies)?;
    Some(GivenUpState {
        dataplane: routes.dataplane.clone(),
        service: Arc::clone(&route.destination.service),
        dialled: route.dialled,
        not_enforced: not_enforced.into_iter().map(str::to_owned).collect(),
        plaintext,
    })
}
