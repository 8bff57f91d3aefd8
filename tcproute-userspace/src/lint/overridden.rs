//! TCP004: a route of which nothing is ever in force, since a stronger one has the same targetRef and destinations.
//!
//! Judged by what is written, so it needs no Dataplanes. A route for all that a narrower one overrides is a default
//! with exceptions, whoever is there to be selected today: that is what the kinds of targetRefs are for.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::{Code, Found, Input};
use crate::{
    policy::{Compat, Strength},
    resources::{MeshName, MeshTcpRoute, Origin, PolicyHeader, ProxyType, Role, Selector, ServiceRef, Zone},
};

/// What two entries share of which only one can be in force.
#[derive(PartialEq, Eq, Hash)]
struct Rank<'a> {
    mesh: &'a MeshName,
    selector: &'a Selector,
    service: &'a ServiceRef,
    /// What later versions look at besides: routes of several owners are layers that are meant.
    owner: Option<Owner<'a>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Owner<'a> {
    namespace: Option<&'a str>,
    zone: Zone<'a>,
    origin: Origin,
    role: Role,
    proxies: Option<ProxyType>,
}

type Entry<'a> = (&'a MeshTcpRoute, usize);

pub(super) fn check(input: &Input<'_>, found: &mut Found) {
    let compat = input.known.compat();
    let mut strongest: FxHashMap<Rank<'_>, Entry<'_>> = FxHashMap::default();
    let in_force = || input.tcp_routes().filter(|route| !route.header.shadow);
    for route in in_force() {
        for (i, to) in route.to.iter().enumerate() {
            let entry = (&**route, i);
            let held = strongest.entry(rank(compat, route, &to.service)).or_insert(entry);
            if is_stronger(compat, entry, *held) {
                *held = entry;
            }
        }
    }
    for route in in_force().filter(|route| !route.to.is_empty()) {
        let winners: Vec<Entry<'_>> =
            route.to.iter().map(|to| strongest[&rank(compat, route, &to.service)]).collect();
        let is_own = |(winner, _): &Entry<'_>| winner.header.name == route.header.name;
        for (i, (_, by)) in winners.iter().enumerate().filter(|(i, winner)| is_own(winner) && winner.1 != *i)
        {
            let message = format!("the entry spec.to[{by}] of the same route overrides this one");
            found.add_route(Code::Overridden, route, format!("spec.to[{i}]"), message);
        }
        if !winners.iter().any(is_own) {
            let names: BTreeSet<String> =
                winners.iter().map(|(winner, _)| winner.header.name.to_string()).collect();
            let names: Vec<String> = names.into_iter().collect();
            let message = format!(
                "{} overrides all of it: the targetRef is the same, and so are the destinations",
                names.join(", ")
            );
            found.add_route(Code::Overridden, route, "spec.targetRef".to_owned(), message);
        }
    }
}

fn rank<'a>(compat: Compat, route: &'a MeshTcpRoute, service: &'a ServiceRef) -> Rank<'a> {
    let PolicyHeader { mesh, meta, origin, role, proxies, .. } = &route.header;
    let owner = || Owner {
        namespace: meta.namespace(),
        zone: meta.zone(),
        origin: *origin,
        role: *role,
        proxies: *proxies,
    };
    let owner = compat.is_later().then(owner);
    Rank { mesh, selector: &route.selector, service, owner }
}

fn is_stronger(compat: Compat, a: Entry<'_>, b: Entry<'_>) -> bool {
    // Both name the same port, or none.
    let [of_a, of_b] = [a, b].map(|(route, _)| Strength::new(&route.header, &route.selector, false));
    compat.order(&of_a, &of_b).then(a.1.cmp(&b.1)).is_gt()
}
