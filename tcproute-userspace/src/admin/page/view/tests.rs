use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    admin::page::reading::Rates,
    agent::{EjectedState, State, WorkloadState},
    outcomes::{BackendOutcomes, Outcomes, RouteOutcomes, Split, WorkloadOutcomes},
    policy::Compat,
    resources::{BackendTarget, MeshName, ServiceRef},
    routing::{DataplaneRoutes, Destination, ResolvedRoute},
    workloads::cgroups::CgroupId,
};

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// To `db`, by `(share in percent, endpoints)`.
fn destination(service: &str, backends: &[(u32, u16)]) -> Arc<Destination> {
    let backend = |&(percent, endpoints): &(u32, u16)| ResolvedBackend {
        target: BackendTarget { service: ServiceRef::tagged("db".parse().unwrap()), subset: None },
        weight: percent.into(),
        share: f64::from(percent) / 100.0,
        endpoints: (0..endpoints).map(|endpoint| address(9000 + endpoint)).collect(),
    };
    Arc::new(Destination {
        service: service.into(),
        protocol: "tcp".to_owned(),
        action: if backends.is_empty() { Action::Passthrough } else { Action::Route },
        reason: "a reason".to_owned(),
        remedy: None,
        policies: vec!["canary".to_owned()],
        backends: backends.iter().map(backend).collect(),
        bypass: None,
        names: Vec::new(),
        warnings: Vec::new(),
        denied: Vec::new(),
    })
}

/// One workload, whose routes are dialled at ports from 1 on.
fn state(client: &str, destinations: Vec<Arc<Destination>>) -> State {
    let route =
        |(port, destination): (u16, Arc<Destination>)| ResolvedRoute { dialled: address(port), destination };
    let routes = DataplaneRoutes {
        mesh: MeshName::default(),
        dataplane: client.to_owned(),
        compat: Compat::default(),
        routes: (1..).zip(destinations).map(route).collect(),
        conflicts: Vec::new(),
        denied: Vec::new(),
        other_policies: [].into(),
    };
    let id = CgroupId::new(7);
    let workload =
        WorkloadState { cgroup: "/web".into(), id, routes: Arc::new(routes), beyond: 0, late: false };
    State { ready: true, workloads: [(id, Arc::new(workload))].into_iter().collect(), ..State::default() }
}

/// Of the route of `state` at that port, so many established and failed of each backendRef.
fn counted(state: &State, port: u16, counts: &[(u64, u64)]) -> Vec<WorkloadOutcomes> {
    let workload = state.workloads.values().next().unwrap();
    let route = workload.routes.routes.at(address(port)).unwrap();
    let backends = route.destination.backends.iter().zip(counts);
    let backends = backends.map(|(backend, &(established, refused))| {
        let attempted = established + refused;
        let outcomes = Some(Outcomes { attempted, established, open: 1, refused, ..Outcomes::default() });
        BackendOutcomes {
            target: backend.target.to_string(),
            weight: backend.weight.get(),
            share: backend.share,
            outcomes,
            total: outcomes,
        }
    });
    let backends: Vec<_> = backends.collect();
    let shares: Vec<f64> = backends.iter().map(|backend| backend.share).collect();
    let chosen = counts.iter().map(|(established, refused)| established + refused).collect();
    vec![WorkloadOutcomes {
        mesh: "default".to_owned(),
        dataplane: workload.routes.dataplane.clone(),
        cgroup: workload.cgroup.clone(),
        routes: vec![RouteOutcomes {
            service: route.destination.service.to_string(),
            address: route.dialled.ip(),
            port,
            selection: "random".to_owned(),
            since: Some(Timestamp::UNIX_EPOCH),
            split: Some(Split::new(chosen, &shares)),
            unweighted: 0,
            unweighted_total: 0,
            backends,
        }],
    }]
}

fn read(state: &State, outcomes: Vec<WorkloadOutcomes>, at: Instant, rates: &mut Rates) -> Reading {
    let attached = vec![true; state.workloads.len()];
    Reading::new(state, Status::new(state, &attached), outcomes, at, rates)
}

fn view(state: &State, query: &str) -> View {
    let reading = read(state, Vec::new(), Instant::now(), &mut Rates::default());
    View::new(&reading, &Query::parse(query))
}

fn services(view: &View) -> Vec<&str> {
    view.routes.iter().map(|route| route.service.as_str()).collect()
}

/// `svc-0000` and on; each tenth is left to the proxy, each seventh has no endpoint.
fn many(count: u16) -> State {
    let shape = |at: u16| -> &[(u32, u16)] {
        match at {
            _ if at.is_multiple_of(10) => &[],
            _ if at.is_multiple_of(7) => &[(90, 2), (10, 0)],
            _ => &[(90, 2), (10, 1)],
        }
    };
    state("web", (0..count).map(|at| destination(&format!("svc-{at:04}"), shape(at))).collect())
}

#[test]
fn five_thousand_routes_are_paged_and_one_that_is_not_there_is_the_nearest() {
    let state = many(5000);
    let first = view(&state, "");
    assert_eq!((first.page, first.pages, first.first, first.matching), (1, 100, 1, 5000));
    assert_eq!((first.routes.len(), first.routes[0].service.as_str()), (50, "svc-0000"));
    let second = view(&state, "page=2");
    assert_eq!((second.first, second.routes[0].service.as_str()), (51, "svc-0050"));
    for last in ["page=100", "page=101", "page=18446744073709551615"] {
        let last = view(&state, last);
        assert_eq!((last.page, last.routes[49].service.as_str()), (100, "svc-4999"));
    }
    for first in ["page=0", "page=-1", "page=99999999999999999999", "page=x", "sort=x&show=x&other=%ff"] {
        assert_eq!(view(&state, first).page, 1, "{first}");
    }
    assert_eq!((first.totals.routes, first.totals.left), (5000, 500));
    let none = view(&state, "filter=nobody");
    assert_eq!((none.matching, none.page, none.pages, none.routes.len()), (0, 1, 1, 0));
    let size = serde_json::to_string(&first).unwrap().len();
    println!("a page of 50 routes is {size} bytes");
    assert!(size < 100_000);
}

#[test]
fn all_words_have_to_be_somewhere_in_a_route() {
    let state = many(200);
    let matching = |filter: &str| view(&state, &format!("filter={filter}")).matching;
    assert_eq!(matching("svc-0042"), 1);
    assert_eq!(matching("SVC-0042+WEB"), 1, "in any case");
    assert_eq!(matching("svc-0042+other"), 0);
    assert_eq!(matching("127.0.0.1:43"), 1, "by what is dialled");
    assert_eq!(matching(":9001"), 180, "by an endpoint");
    assert_eq!(matching("canary"), 200, "by a policy");
    assert_eq!(matching(&"svc-0042".repeat(100_000)), 0);
    let shown = |show: &str| view(&state, &format!("show={show}")).matching;
    assert_eq!((shown("left"), shown("routed")), (20, 180));
    assert_eq!(
        shown("trouble"),
        (0..200_u16).filter(|at| at.is_multiple_of(7) && !at.is_multiple_of(10)).count()
    );
}

#[test]
fn routes_are_sorted_as_is_asked() {
    let state = state(
        "web",
        vec![destination("b", &[(100, 1)]), destination("a", &[(100, 1)]), destination("c", &[(100, 0)])],
    );
    assert_eq!(services(&view(&state, "")), ["a", "b", "c"]);
    assert_eq!(services(&view(&state, "sort=client")), ["a", "b", "c"]);
    assert_eq!(services(&view(&state, "sort=trouble")), ["c", "a", "b"]);
    let (mut rates, at) = (Rates::default(), Instant::now());
    read(&state, counted(&state, 1, &[(10, 0)]), at, &mut rates);
    let later = at + Duration::from_secs(2);
    let reading = read(&state, counted(&state, 1, &[(50, 0)]), later, &mut rates);
    let view = View::new(&reading, &Query::parse("sort=busiest"));
    assert_eq!(services(&view), ["b", "a", "c"]);
    assert_eq!(view.totals.rate, Some(Rate { established: 20.0, failed: 0.0 }));
}

#[test]
fn what_is_seen_stands_beside_what_is_configured() {
    let state = state("web", vec![destination("db", &[(75, 2), (25, 7)])]);
    let (mut rates, at) = (Rates::default(), Instant::now());
    let reading = read(&state, counted(&state, 1, &[(60, 20), (20, 0)]), at, &mut rates);
    let view = View::new(&reading, &Query::parse(""));
    let [first, second] = &view.routes[0].backends[..] else { panic!("{view:?}") };
    assert_eq!((first.share, first.observed, first.chosen), (0.75, Some(0.8), Some(80)));
    assert_eq!((first.kind, first.name.as_str(), first.weight), ("MeshService", "db", 75));
    assert_eq!((second.share, second.observed), (0.25, Some(0.2)));
    assert_eq!((second.endpoints.len(), second.more_endpoints), (ENDPOINTS, 1));
    assert_eq!(first.counts.unwrap().failed, 20);
    assert_eq!((first.rate, view.totals.rate), (None, None), "there is one reading only");
    assert!(view.routes[0].verdict.as_ref().unwrap().contains("explainable"), "{view:?}");
    assert_eq!(view.routes[0].trouble, [""; 0]);
}

#[test]
fn what_goes_wrong_is_said_and_why() {
    let mut state = state("web", vec![destination("db", &[(75, 2), (25, 0)])]);
    state.ejected = vec![EjectedState {
        dataplane: "web".to_owned(),
        dialled: address(1),
        backend: "MeshService db".to_owned(),
        endpoint: address(9001),
        until: std::time::SystemTime::now(),
    }];
    let (mut rates, at) = (Rates::default(), Instant::now());
    read(&state, counted(&state, 1, &[(0, 0), (0, 0)]), at, &mut rates);
    let outcomes = counted(&state, 1, &[(500, 2), (500, 0)]);
    let reading = read(&state, outcomes, at + Duration::from_secs(1), &mut rates);
    let view = View::new(&reading, &Query::parse(""));
    let trouble = view.routes[0].trouble.join("; ");
    for part in [
        "25.0 % of its connections are refused",
        "taken out",
        "NOT explainable",
        "2.0 connections a second fail",
    ] {
        assert!(trouble.contains(part), "{part:?} is not in {trouble:?}");
    }
    let ejected: Vec<bool> = view.routes[0].backends[0].endpoints.iter().map(|it| it.ejected).collect();
    assert_eq!(ejected, [false, true]);
    let attached = View::new(
        &Reading::new(&state, Status::new(&state, &[false]), Vec::new(), at, &mut rates),
        &Query::parse(""),
    );
    assert!(attached.routes[0].trouble[0].contains("not attached"));
}

#[test]
fn counters_that_begin_anew_have_no_rate_and_those_that_come_back_no_jump() {
    let state = state("web", vec![destination("db", &[(100, 1)])]);
    let (mut rates, begin) = (Rates::default(), Instant::now());
    let mut rate = |seconds: u64, established: u64| {
        let at = begin + Duration::from_secs(seconds);
        let reading = read(&state, counted(&state, 1, &[(established, 0)]), at, &mut rates);
        reading.routes[0].rate().map(|rate| rate.established)
    };
    assert_eq!(rate(0, 1_000_000), None);
    assert_eq!(rate(1, 1_000_010), Some(10.0));
    // A map was replaced: what was counted before comes back.
    assert_eq!(rate(2, 4), None);
    assert_eq!(rate(3, 1_000_030), Some(10.0));
    // Of another backendRef from now on.
    assert_eq!(rate(4, 0), None);
    assert_eq!(rate(14, 7), None);
    assert_eq!(rate(15, 9), Some(2.0));
}

#[test]
fn what_others_wrote_hides_nothing_and_has_a_bound() {
    let hostile = "<img src=x onerror=alert(1)>\u{202e}gnp.\u{200b}\n";
    let long = "y".repeat(100_000);
    let mut state = state(hostile, vec![destination(&long, &[(100, 1)])]);
    state.warnings = vec![hostile.to_owned(); 1000];
    let view = view(&state, "");
    assert_eq!(view.routes[0].client, r"<img src=x onerror=alert(1)>\u{202e}gnp.\u{200b}\n", "text as it is");
    assert_eq!(view.routes[0].service.chars().count(), LONGEST + 1);
    assert_eq!((view.problems.len(), view.more_problems), (PROBLEMS, 950));
    assert!(view.routes[0].id.len() < 64 && view.routes[0].id.is_ascii());
    let json = crate::escaped::json(&view).unwrap();
    assert!(json.len() < 40_000, "{}", json.len());
    assert!(!json.contains('\n') && !json.contains('\r'), "an event is one line");
}

#[test]
fn many_backend_refs_and_reasons_are_drawn_in_part() {
    let state = state("web", vec![destination("db", &[(1, 1); 100])]);
    let view = view(&state, "");
    assert_eq!((view.routes[0].backends.len(), view.routes[0].more_backends), (BACKENDS, 100 - BACKENDS));
    assert_eq!(some(&["a", "b", "c"], 2), ["a", "b", "and 1 more"]);
}
