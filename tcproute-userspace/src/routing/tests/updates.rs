//! A change of resources gives what resolving everything again would, and touches nothing else.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn two_services() -> String {
    WEB.to_owned() + "    - {port: 1001, tags: {kuma.io/service: cache}}\n"
}

const CACHE: &str = "type: Dataplane\nname: cache\nnetworking: {address: 10.0.2.1, inbound: [{port: 6379, tags: {kuma.io/service: cache}}]}";

#[test]
fn a_moved_endpoint_touches_only_the_routes_that_lead_to_it() {
    let texts = [two_services(), db(&[(1, "")]), CACHE.to_owned(), route("r", MESH, &to("db"))];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut resolver = resolver(&texts, Options::default());
    let mut routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    let before = routes.clone();

    let moved = CACHE.replace("10.0.2.1", "10.0.2.2");
    let update = resolver.update(resources(&[&texts[..2], &[&moved], &texts[3..]].concat()), dns());
    assert!(resolver.refresh(&mut routes, &update).unwrap());
    let [cache, db] = routes.routes.iter().collect::<Vec<_>>()[..] else { panic!("{routes:?}") };
    assert_eq!(cache.destination.backends[0].endpoints, ["10.0.2.2:6379".parse().unwrap()]);
    assert!(Arc::ptr_eq(&db.destination, &before.routes[1].destination));
}

#[test]
fn other_answers_of_dns_touch_the_routes_of_their_names() {
    let texts = [WEB, EXTERNAL, &route("r", MESH, &to("outside"))];
    let mut resolver = resolver(&texts, Options::default());
    let mut routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    let answers = |ip: &str| DnsAnswers::from([("db.example.com".to_owned(), vec![ip.parse().unwrap()])]);
    let update = resolver.update(resources(&texts), answers("192.0.2.8"));
    assert!(resolver.refresh(&mut routes, &update).unwrap());
    assert_eq!(backends(&routes)[0].2, ["192.0.2.8:5432"]);
    let update = resolver.update(resources(&texts), answers("192.0.2.8"));
    assert!(!resolver.refresh(&mut routes, &update).unwrap());
}

#[test]
fn a_dataplane_that_is_gone_is_an_error() {
    let mut resolver = resolver(&[WEB, &db(&[(1, "")])], Options::default());
    let mut routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    let update = resolver.update(resources(&[&db(&[(1, "")])]), dns());
    assert!(resolver.refresh(&mut routes, &update).is_err());
}

/// Some policies and services. While they stay, an update is made in parts.
fn rules() -> impl Strategy<Value = Vec<String>> {
    let rules = vec![
        LATER.to_owned(),
        route(
            "r",
            SUBSET,
            &format!("{}, {{kind: MeshServiceSubset, name: db, tags: {{v: a}}}}", to("outside")),
        ),
        route(
            "s",
            MESH,
            "{kind: MeshService, name: db-later, port: 5432}, {kind: MeshMultiZoneService, name: zones, port: 5432}",
        ),
        route("t", "{kind: MeshSubset, tags: {team: b}}", &to("cache")),
        route("u", MESH, &to("cache"))
            .replace("kind: MeshService, name: db}", "kind: MeshService, name: cache}"),
    ];
    let all = rules.len();
    proptest::sample::subsequence(rules, 0..=all)
}

/// Some endpoints, of which some are elsewhere or not ready, beside a Dataplane `web` that may change as well.
fn endpoints() -> impl Strategy<Value = Vec<String>> {
    let endpoints = vec![
        db(&[(1, ", v: a, kuma.io/protocol: tcp")]),
        db(&[(2, ", v: b, kuma.io/protocol: http")]),
        db(&[(3, ", app: db")]),
        CACHE.to_owned(),
        EXTERNAL.to_owned(),
        EXTERNAL
            .replace("name: db-outside", "name: more")
            .replace("outside}", "db}")
            .replace("db.example.com", "192.0.2.1"),
    ];
    let all = endpoints.len();
    let web =
        prop_oneof![Just(WEB.to_owned()), Just(two_services()), Just(WEB.replace("team: a", "team: c"))];
    let changes = proptest::collection::vec(0_u8..4, all);
    (web, proptest::sample::subsequence(endpoints, 0..=all), changes).prop_map(|(web, endpoints, changes)| {
        let changed = endpoints.iter().zip(changes).map(|(endpoint, change)| match change {
            0 => endpoint.replace("address: 10.0.1.", "address: 10.1.1."),
            1 => endpoint.replace("- {port: 5432", "- {health: {ready: false}, port: 5432"),
            _ => endpoint.clone(),
        });
        std::iter::once(web).chain(changed).collect()
    })
}

const LATER: &str = "
type: MeshService
name: db-later
labels: {app: db}
spec: {selector: {dataplaneTags: {app: db}}, ports: [{port: 5432}]}
status: {vips: [{ip: 241.0.0.1}]}
---
type: MeshMultiZoneService
name: zones
spec: {selector: {meshService: {matchLabels: {app: db}}}, ports: [{port: 5432}]}
status: {vips: [{ip: 243.0.0.1}]}
";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_update_gives_what_resolving_again_would(
        rules in proptest::collection::vec(rules(), 2),
        worlds in proptest::collection::vec(endpoints(), 6),
    ) {
        let mesh = MeshName::default();
        // The rules change once on the way.
        let read = |i: usize| {
            let texts = rules[i / 4].iter().chain(&worlds[i]);
            resources(&texts.map(String::as_str).collect::<Vec<_>>())
        };
        let mut resolver = Resolver::new(read(0), dns(), Options::default());
        let mut routes = resolver.resolve(&mesh, "web").unwrap();
        for i in 1..worlds.len() {
            let answers = if i % 3 == 0 { DnsAnswers::new() } else { dns() };
            let update = resolver.update(read(i), answers.clone());
            resolver.refresh(&mut routes, &update).unwrap();
            let mut afresh = Resolver::new(read(i), answers, Options::default());
            prop_assert_eq!(&routes, &afresh.resolve(&mesh, "web").unwrap());
        }
    }
}
