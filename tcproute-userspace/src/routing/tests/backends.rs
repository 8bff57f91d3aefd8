//! What the policies make of a route: merging, weights, backendRefs.

use super::*;

#[test]
fn without_a_policy_the_destination_itself() {
    let routes = resolve(&[WEB, &db(&[(1, ""), (2, "")])]);
    assert_eq!(
        backends(&routes),
        [("db".to_owned(), 1.0, vec!["10.0.1.1:5432".to_owned(), "10.0.1.2:5432".to_owned()])]
    );
    assert_eq!(routes.routes[0].destination.action, Action::Route);
    assert_eq!(routes.routes[0].dialled, "127.0.0.1:1000".parse().unwrap());
}

#[test]
fn shares_are_weight_over_sum() {
    let refs = "{kind: MeshServiceSubset, name: db, tags: {v: a}, weight: 40}, \
                {kind: MeshServiceSubset, name: db, tags: {v: b}, weight: 15}, \
                {kind: MeshServiceSubset, name: db, tags: {v: b}, weight: 15}, \
                {kind: MeshService, name: db, weight: 15}, {kind: MeshService, name: db, weight: 0}, \
                {kind: MeshService, name: db}";
    let routes = resolve(&[WEB, &db(&[(1, ", v: a"), (2, ", v: b")]), &route("r", MESH, refs)]);
    let shares: Vec<f64> = backends(&routes).iter().map(|(_, share, _)| *share).collect();
    assert_eq!(shares, [40.0 / 86.0, 15.0 / 86.0, 15.0 / 86.0, 15.0 / 86.0, 0.0, 1.0 / 86.0]);
    assert_eq!(backends(&routes)[1].2, ["10.0.1.2:5432"]);
}

#[test]
fn an_entry_without_rules_overrides_weaker_policies() {
    let texts = [WEB, &route("weak", MESH, &to("other")), &route("strong", SERVICE, "")];
    assert_eq!(first_backend(&resolve(&texts)), "db");
}

#[test]
fn entries_of_one_policy_for_the_same_service_merge_in_order() {
    let twice = route("r", MESH, &to("first"))
        + "    - {targetRef: {kind: MeshService, name: db}, rules: [{default: {backendRefs: [{kind: MeshService, name: last}]}}]}\n";
    let routes = resolve(&[WEB, &twice]);
    assert_eq!((first_backend(&routes).as_str(), routes.routes[0].destination.policies.len()), ("last", 1));
}

#[test]
fn an_unknown_service_keeps_its_share_and_is_warned_of() {
    let refs = format!("{}, {}", to("nowhere"), to("db"));
    let routes = resolve(&[WEB, &db(&[(1, "")]), &route("r", MESH, &refs)]);
    assert_eq!(backends(&routes)[0], ("nowhere".to_owned(), 0.5, vec![]));
    assert!(routes.warnings()[0].contains("nowhere"), "{:?}", routes.warnings());
}

#[test]
fn a_ref_without_endpoints_keeps_its_share_and_is_warned_of() {
    let refs = format!("{{kind: MeshServiceSubset, name: db, tags: {{v: c, w: d}}}}, {}", to("db"));
    let routes = resolve(&[WEB, &db(&[(1, "")]), &route("r", MESH, &refs)]);
    assert_eq!(backends(&routes)[0], ("db".to_owned(), 0.5, vec![]));
    assert_eq!(
        routes.warnings(),
        ["the route of db leads to db, which has no endpoint with v=c w=d: its share is refused"]
    );
}

#[test]
fn all_weights_zero_leave_no_share() {
    let routes =
        resolve(&[WEB, &db(&[(1, "")]), &route("r", MESH, "{kind: MeshService, name: db, weight: 0}")]);
    assert!(backends(&routes).iter().all(|(_, share, _)| *share == 0.0));
    assert!(routes.warnings()[0].contains("all weights"), "{:?}", routes.warnings());
}

fn shares(refs: &str) -> Vec<f64> {
    let routes = resolve(&[WEB, &db(&[(1, ", v: a"), (2, ", v: b")]), &route("r", MESH, refs)]);
    backends(&routes).iter().map(|(_, share, _)| *share).collect()
}

#[test]
fn a_weight_is_1_where_none_is_written() {
    assert_eq!(
        shares("{kind: MeshService, name: db}, {kind: MeshService, name: db, weight: 3}"),
        [0.25, 0.75]
    );
}

#[test]
fn a_ref_with_weight_0_gets_nothing() {
    assert_eq!(shares("{kind: MeshService, name: db, weight: 0}, {kind: MeshService, name: db}"), [0.0, 1.0]);
}

#[test]
fn the_same_ref_twice_counts_twice() {
    let a = "{kind: MeshServiceSubset, name: db, tags: {v: a}}";
    let b = "{kind: MeshServiceSubset, name: db, tags: {v: b}}";
    assert_eq!(shares(&format!("{a}, {b}, {a}, {a}")), [0.25; 4]);
}

#[test]
fn the_largest_weights_sum_without_overflow() {
    let largest = "{kind: MeshService, name: db, weight: 4294967295}";
    assert_eq!(shares(&[largest; 4].join(", ")), [0.25; 4]);
}

#[test]
fn backend_refs_of_the_strongest_replace_all_others() {
    let two = format!("{}, {}", to("first"), to("second"));
    let texts =
        [WEB, &route("a", MESH, &two), &route("b", MESH, &to("third")), &route("c", SUBSET, &to("fourth"))];
    let routes = resolve(&texts);
    let names: Vec<String> = backends(&routes).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["fourth"]);
    assert_eq!(routes.routes[0].destination.policies, ["a", "b", "c"]);
}

#[test]
fn a_service_ref_means_every_endpoint_and_a_subset_those_with_all_tags() {
    let endpoints = db(&[(1, ", v: a, zone: x"), (2, ", v: a, zone: y"), (3, ", v: b, zone: x"), (4, "")]);
    let endpoints_of = |backend: &str| {
        let routes = resolve(&[WEB, &endpoints, &route("r", MESH, backend)]);
        let last = |address: &String| address["10.0.1.".len()..address.len() - ":5432".len()].to_owned();
        backends(&routes)[0].2.iter().map(last).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(endpoints_of("{kind: MeshService, name: db}"), "1 2 3 4");
    assert_eq!(endpoints_of("{kind: MeshServiceSubset, name: db, tags: {v: a}}"), "1 2");
    assert_eq!(endpoints_of("{kind: MeshServiceSubset, name: db, tags: {v: a, zone: y}}"), "2");
    assert_eq!(endpoints_of("{kind: MeshServiceSubset, name: db, tags: {v: b, zone: y}}"), "");
}

/// So many different subsets, each of which has every endpoint.
fn subsets(count: usize) -> Vec<String> {
    let tags = |bits: usize| {
        let tags = (0..10).filter(move |tag| bits & (1 << tag) != 0).map(|tag| format!("t{tag}: x"));
        tags.collect::<Vec<_>>().join(", ")
    };
    let subset = |bits| format!("{{kind: MeshServiceSubset, name: db, tags: {{{}}}}}", tags(bits));
    (1..=count).map(subset).collect()
}

#[test]
fn backend_refs_that_mean_very_many_endpoints_leave_the_route_to_the_proxy() {
    const ENDPOINTS: usize = 2_000;
    let tags: String = (0..10).fold(String::new(), |tags, tag| format!("{tags}, t{tag}: x"));
    let inbounds: String = (1..=ENDPOINTS).fold(String::new(), |mut text, port| {
        let _ = writeln!(text, "    - {{port: {port}, tags: {{kuma.io/service: db{tags}}}}}");
        text
    });
    let db = format!("type: Dataplane\nname: db\nnetworking:\n  address: 10.0.1.1\n  inbound:\n{inbounds}");
    let destination = |refs: Vec<String>| {
        let routes = resolve(&[WEB, &db, &route("r", MESH, &refs.join(", "))]);
        Arc::clone(&routes.routes[0].destination)
    };
    let few = destination(subsets(131));
    assert_eq!((few.action, few.backends.len()), (Action::Route, 131));
    let many = destination(subsets(132));
    assert_eq!((many.action, many.backends.len()), (Action::Passthrough, 0));
    assert_eq!(many.reason, "its backendRefs lead to more than 262144 endpoints");
    assert_eq!(
        many.warnings,
        ["connections to db are left to the proxy: its backendRefs lead to more than 262144 endpoints"]
    );

    // What means the same is one in memory, however often it is written.
    let same = destination(vec![to("db"); 1_000]);
    assert_eq!((same.action, same.backends[999].endpoints.len()), (Action::Route, ENDPOINTS));
    assert!(same.backends.iter().all(|it| Arc::ptr_eq(&it.endpoints, &same.backends[0].endpoints)));
}
