use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::{
    policy::Compat,
    resources::{BackendTarget, MeshName, ServiceRef, Weight},
    routing::{ResolvedBackend, ResolvedRoute},
};

const GRACE: Duration = Duration::from_secs(10);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn departed(dialled: u16, endpoint: u16) -> Departed {
    Departed {
        workload: CgroupId::new(1),
        dialled: address(dialled).into(),
        endpoint: address(endpoint).into(),
    }
}

/// A route that dials this port, to backendRefs with these weights and ports.
fn route(dialled: u16, action: Action, backends: &[(u32, Vec<u16>)]) -> ResolvedRoute {
    let backend = |(weight, ports): &(u32, Vec<u16>)| ResolvedBackend {
        target: BackendTarget { service: ServiceRef::tagged("db".parse().unwrap()), subset: None },
        weight: Weight::from(*weight),
        share: 0.0,
        endpoints: ports.iter().map(|&port| address(port)).collect(),
    };
    let destination = Destination {
        service: "db".into(),
        protocol: "tcp".to_owned(),
        action,
        reason: String::new(),
        remedy: None,
        policies: Vec::new(),
        backends: backends.iter().map(backend).collect(),
        bypass: None,
        names: Vec::new(),
        warnings: Vec::new(),
        denied: Vec::new(),
    };
    ResolvedRoute { dialled: address(dialled), destination: destination.into() }
}

/// The routes of the only workload.
fn routes(routes: Vec<ResolvedRoute>) -> Routes {
    let routes = DataplaneRoutes {
        mesh: MeshName::default(),
        dataplane: "web".to_owned(),
        compat: Compat::default(),
        routes: routes.into_iter().collect(),
        conflicts: Vec::new(),
        denied: Vec::new(),
        other_policies: [].into(),
    };
    Routes::from([(CgroupId::new(1), routes.into())])
}

fn to(ports: &[u16]) -> Routes {
    routes(vec![route(1, Action::Route, &[(1, ports.to_vec())])])
}

fn departures(before: Routes) -> Departures {
    let mut departures = Departures::new(GRACE);
    departures.observe(seconds(0), before);
    departures
}

#[test]
fn an_endpoint_that_has_left_is_due_after_the_grace_period_and_only_once() {
    let mut departures = departures(to(&[10, 11]));
    assert_eq!(departures.next(), None);
    departures.observe(seconds(5), to(&[11]));
    departures.observe(seconds(6), to(&[11]));
    assert_eq!((departures.next(), departures.due(seconds(14))), (Some(seconds(15)), BTreeSet::new()));
    assert_eq!(departures.due(seconds(15)), [departed(1, 10)].into());
    departures.observe(seconds(16), to(&[11, 12]));
    assert_eq!((departures.next(), departures.due(seconds(99))), (None, BTreeSet::new()));
}

#[test]
fn one_that_comes_back_is_kept_and_may_leave_again() {
    let mut departures = departures(to(&[10, 11]));
    departures.observe(seconds(5), to(&[11]));
    departures.observe(seconds(14), to(&[10, 11]));
    assert_eq!(departures.due(seconds(20)), BTreeSet::new());
    departures.observe(seconds(20), to(&[11]));
    assert_eq!(departures.due(seconds(29)), BTreeSet::new());
    assert_eq!(departures.due(seconds(30)), [departed(1, 10)].into());
}

#[test]
fn an_endpoint_is_there_as_long_as_any_backend_ref_has_it_whatever_its_weight() {
    let with = |backends: &[(u32, Vec<u16>)]| routes(vec![route(1, Action::Route, backends)]);
    let mut departures = departures(with(&[(1, vec![10]), (1, vec![10, 11])]));
    departures.observe(seconds(1), with(&[(0, vec![10]), (1, vec![11])]));
    assert_eq!(departures.next(), None);
    departures.observe(seconds(2), with(&[(1, vec![11])]));
    assert_eq!(departures.due(seconds(12)), [departed(1, 10)].into());
}

#[test]
fn each_route_is_judged_by_itself() {
    let with = |first: &[u16], second: &[u16]| {
        let to = |dialled, ports: &[u16]| route(dialled, Action::Route, &[(1, ports.to_vec())]);
        routes(vec![to(1, first), to(2, second)])
    };
    let mut departures = departures(with(&[10], &[10, 11]));
    departures.observe(seconds(0), with(&[12], &[10]));
    assert_eq!(departures.due(seconds(10)), [departed(1, 10), departed(2, 11)].into());
}

#[test]
fn a_route_that_is_gone_or_left_to_the_proxy_has_no_endpoints() {
    for after in [routes(Vec::new()), routes(vec![route(1, Action::Passthrough, &[])])] {
        let mut departures = departures(to(&[10]));
        departures.observe(seconds(0), after);
        assert_eq!(departures.due(seconds(10)), [departed(1, 10)].into());
    }
}

#[test]
fn a_workload_that_is_gone_has_nothing_to_close() {
    let mut departures = departures(to(&[10, 11]));
    departures.observe(seconds(1), to(&[10]));
    departures.observe(seconds(2), Routes::new());
    departures.observe(seconds(3), to(&[10]));
    assert_eq!((departures.next(), departures.waiting()), (None, 0));
}

#[test]
fn what_an_earlier_daemon_led_to_has_left_if_it_is_not_there() {
    let mut departures = departures(to(&[10, 11]));
    let stranger = Departed { workload: CgroupId::new(2), ..departed(1, 12) };
    departures.inherit(seconds(1), &[departed(1, 10), departed(1, 12), departed(2, 10), stranger]);
    assert_eq!(departures.due(seconds(11)), [departed(1, 12), departed(2, 10)].into());
}

proptest! {
    /// At each look exactly those are due that were there once and have been away for the grace period since.
    #[test]
    fn due_is_who_has_been_away_for_long_enough(
        steps in proptest::collection::vec((0_u64..8, proptest::collection::btree_set(10_u16..14, 0..4)), 1..20),
    ) {
        let mut departures = Departures::new(GRACE);
        let mut now = seconds(0);
        // Since when each endpoint is away, until it was given out.
        let mut away: BTreeMap<u16, Duration> = BTreeMap::new();
        let mut before: BTreeSet<u16> = BTreeSet::new();
        for (pause, ports) in steps {
            now += seconds(pause);
            let wanted: BTreeSet<u16> = away.iter().filter(|(_, since)| **since + GRACE <= now).map(|(&port, _)| port).collect();
            prop_assert_eq!(departures.next(), away.values().min().map(|&since| since + GRACE));
            prop_assert_eq!(departures.due(now), wanted.iter().map(|&port| departed(1, port)).collect());
            away.retain(|port, _| !wanted.contains(port) && !ports.contains(port));
            away.extend(before.difference(&ports).map(|&port| (port, now)));
            departures.observe(now, to(&ports.iter().copied().collect::<Vec<_>>()));
            before = ports;
        }
    }
}
