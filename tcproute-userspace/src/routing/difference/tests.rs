use proptest::prelude::*;

use super::*;
use crate::{
    policy::Compat,
    resources::{BackendTarget, ServiceRef, Weight},
    routing::{Action, Destination, ResolvedBackend, ResolvedRoute},
};

/// A route from 127.0.0.1:1 to backends with these shares and endpoints.
fn routes(backends: &[(f64, &[u8])]) -> DataplaneRoutes {
    let backend = |&(share, endpoints): &(f64, &[u8])| ResolvedBackend {
        target: BackendTarget { service: ServiceRef::tagged("db".parse().unwrap()), subset: None },
        weight: Weight::from(u32::from(share > 0.0)),
        share,
        endpoints: endpoints.iter().map(|&last| SocketAddr::from(([10, 0, 0, last], 1))).collect(),
    };
    let destination = Destination {
        service: "db".into(),
        protocol: "tcp".to_owned(),
        action: Action::Route,
        reason: String::new(),
        remedy: None,
        policies: Vec::new(),
        backends: backends.iter().map(backend).collect(),
        bypass: None,
        names: Vec::new(),
        warnings: Vec::new(),
        denied: Vec::new(),
    };
    DataplaneRoutes {
        mesh: MeshName::default(),
        dataplane: "web".to_owned(),
        compat: Compat::default(),
        routes: [ResolvedRoute { dialled: "127.0.0.1:1".parse().unwrap(), destination: destination.into() }]
            .into_iter()
            .collect(),
        conflicts: Vec::new(),
        denied: Vec::new(),
        other_policies: [].into(),
    }
}

fn shifts(old: &DataplaneRoutes, new: &DataplaneRoutes) -> (f64, Vec<String>) {
    let difference = difference(Some(old), Some(new)).unwrap();
    let [route] = &difference.routes[..] else { panic!("{difference:?}") };
    let shift = |shift: &Shift| format!("{} {:.2} -> {:.2}", shift.to, shift.before, shift.after);
    (route.moved, route.shifts.iter().map(shift).collect())
}

#[test]
fn other_weights_move_the_difference() {
    let (moved, shifts) = shifts(&routes(&[(0.9, &[1]), (0.1, &[2])]), &routes(&[(0.8, &[1]), (0.2, &[2])]));
    assert!((moved - 0.1).abs() < 1e-12);
    assert_eq!(shifts, ["10.0.0.1:1 0.90 -> 0.80", "10.0.0.2:1 0.10 -> 0.20"]);
}

#[test]
fn a_share_without_endpoints_is_refused() {
    let (moved, shifts) = shifts(&routes(&[(0.5, &[1]), (0.5, &[2])]), &routes(&[(0.5, &[1]), (0.5, &[])]));
    assert!((moved - 0.5).abs() < 1e-12);
    assert_eq!(shifts, ["refused 0.00 -> 0.50", "10.0.0.2:1 0.50 -> 0.00"]);
    // So are all connections where all weights are 0.
    let (_, shifts) = self::shifts(&routes(&[(1.0, &[1])]), &routes(&[(0.0, &[1])]));
    assert_eq!(shifts, ["refused 0.00 -> 1.00", "10.0.0.1:1 1.00 -> 0.00"]);
}

#[test]
fn a_route_that_goes_leaves_connections_as_dialled() {
    let mut none = routes(&[]);
    none.routes = crate::routing::Routes::default();
    let (moved, shifts) = shifts(&routes(&[(1.0, &[1])]), &none);
    assert!((moved - 1.0).abs() < 1e-12);
    assert_eq!(shifts, ["as dialled 0.00 -> 1.00", "10.0.0.1:1 1.00 -> 0.00"]);
    let gone = difference(Some(&routes(&[(1.0, &[1])])), None).unwrap();
    assert_eq!(gone.routes[0].shifts[0].to, Fate::AsDialled);
    assert_eq!(difference(None, None), None);
}

#[test]
fn what_a_daemon_tells_is_where_connections_end() {
    let mut passed_by = routes(&[(1.0, &[1])]);
    passed_by.routes = {
        let mut destination = Destination::clone(&passed_by.routes.iter().next().unwrap().destination);
        destination.action = Action::Passthrough;
        let dialled = "127.0.0.1:1".parse().unwrap();
        [ResolvedRoute { dialled, destination: destination.into() }].into_iter().collect()
    };
    for routes in [routes(&[(0.9, &[1, 2]), (0.1, &[])]), routes(&[(0.0, &[1])]), passed_by] {
        let told: Ends = serde_json::from_str(&serde_json::to_string(&routes).unwrap()).unwrap();
        assert_eq!(told.compat.as_deref(), Some("2.4"));
        assert_eq!(Ends { compat: None, ..told }, Ends::from(&routes));
    }
}

#[test]
fn what_is_only_written_otherwise_is_no_difference() {
    let (old, new) = (routes(&[(1.0, &[1, 2])]), routes(&[(0.25, &[1]), (0.5, &[1, 2]), (0.25, &[2])]));
    assert_eq!(difference(Some(&old), Some(&new)).unwrap().routes, []);
}

proptest! {
    #[test]
    fn shares_move_and_are_not_lost(
        old in proptest::collection::vec((1_u32..100, proptest::collection::btree_set(0_u8..6, 0..4)), 1..5),
        new in proptest::collection::vec((1_u32..100, proptest::collection::btree_set(0_u8..6, 0..4)), 1..5),
    ) {
        let made = |refs: &[(u32, BTreeSet<u8>)]| {
            let sum: u32 = refs.iter().map(|(weight, _)| weight).sum();
            let endpoints: Vec<Vec<u8>> = refs.iter().map(|(_, last)| last.iter().copied().collect()).collect();
            let share = |weight: u32| f64::from(weight) / f64::from(sum);
            let parts = refs.iter().zip(&endpoints).map(|((weight, _), last)| (share(*weight), last.as_slice()));
            routes(&parts.collect::<Vec<_>>())
        };
        let (old, new) = (made(&old), made(&new));
        for route in difference(Some(&old), Some(&new)).unwrap().routes {
            let gained: f64 = route.shifts.iter().map(|shift| shift.after - shift.before).sum();
            prop_assert!(gained.abs() < 1e-9);
            prop_assert!(route.moved > 0.0 && route.moved < 1.0 + 1e-9);
        }
        prop_assert!(difference(Some(&old), Some(&old)).unwrap().routes.is_empty());
    }
}
