//! Which policies apply to a Dataplane, and which of them is the stronger.

use super::*;

#[test]
fn strength_goes_from_mesh_to_service_subset() {
    let strongest = |targets: &[&str]| {
        // The names are in the opposite order, so that they would decide wrongly.
        let policies: Vec<String> = targets
            .iter()
            .enumerate()
            .map(|(i, target)| route(&format!("r{}", 9 - i), target, &to(&format!("s{i}"))))
            .collect();
        let mut texts = vec![WEB];
        texts.extend(policies.iter().map(String::as_str));
        first_backend(&resolve(&texts))
    };
    assert_eq!(strongest(&[MESH, SUBSET]), "s1");
    assert_eq!(strongest(&[MESH, SUBSET, SERVICE]), "s2");
    assert_eq!(strongest(&[MESH, SUBSET, SERVICE, SERVICE_SUBSET]), "s3");
}

#[test]
fn within_a_kind_the_greater_name_is_the_stronger() {
    let texts = [WEB, &route("zzz", MESH, &to("z")), &route("aaa", MESH, &to("a"))];
    let routes = resolve(&texts);
    assert_eq!(first_backend(&routes), "z");
    assert_eq!(routes.routes[0].destination.policies, ["aaa", "zzz"]);
}

#[test]
fn any_inbound_selects() {
    let admin = "{kind: MeshServiceSubset, name: web-admin, tags: {team: b}}";
    assert_eq!(first_backend(&resolve(&[WEB, &route("r", admin, &to("other"))])), "other");
    // Service and tags of two different inbounds do not.
    let mixed = "{kind: MeshServiceSubset, name: web-admin, tags: {team: a}}";
    assert_eq!(first_backend(&resolve(&[WEB, &route("r", mixed, &to("other"))])), "db");
}

#[test]
fn a_policy_never_reaches_another_mesh() {
    let foreign = route("r", MESH, &to("other")).replace("name: r\n", "name: r\nmesh: staging\n");
    let foreign_db = db(&[(9, "")]).replace("name: db-9\n", "name: db-9\nmesh: staging\n");
    let routes = resolve(&[WEB, &db(&[(1, "")]), &foreign, &foreign_db]);
    assert_eq!(backends(&routes), [("db".to_owned(), 1.0, vec!["10.0.1.1:5432".to_owned()])]);
}

#[test]
fn an_absent_target_ref_is_the_mesh() {
    let absent = route("r", MESH, &to("other")).replace("  targetRef: {kind: Mesh}\n", "");
    assert_eq!(first_backend(&resolve(&[WEB, &absent])), "other");
    // And as weak: a greater name does not help against another kind.
    let stronger = route("a", SUBSET, &to("db"));
    assert_eq!(first_backend(&resolve(&[WEB, &absent, &stronger])), "db");
}

#[test]
fn other_policies_are_known_by_name() {
    let others = "type: MeshTimeout\nname: t\nspec: {any: thing}\n---\n{apiVersion: kuma.io/v1alpha1, kind: TrafficPermission, metadata: {name: p}}";
    let known: Vec<_> = resources(&[others]).other_policies.keys().cloned().collect();
    let known: Vec<String> = known.iter().map(|(kind, (_, name))| format!("{kind} {name}")).collect();
    assert_eq!(known, ["MeshTimeout t", "TrafficPermission p"]);
}

#[test]
fn each_kind_selects_through_the_inbounds() {
    let selects =
        |target: &str| first_backend(&resolve(&[WEB, &route("r", target, &to("other"))])) == "other";
    for target in [
        MESH,
        SUBSET,
        SERVICE,
        SERVICE_SUBSET,
        "{kind: MeshSubset, tags: {team: b}}",
        "{kind: MeshService, name: web-admin}",
        "{kind: MeshSubset, tags: {team: b, kuma.io/service: web-admin}}",
    ] {
        assert!(selects(target), "{target}");
    }
    for target in [
        "{kind: MeshSubset, tags: {team: c}}",
        "{kind: MeshSubset, tags: {team: a, kuma.io/service: web-admin}}",
        "{kind: MeshService, name: db}",
        "{kind: MeshServiceSubset, name: web, tags: {team: b}}",
    ] {
        assert!(!selects(target), "{target}");
    }
}

#[test]
fn a_gateway_of_somebody_elses_is_selected_by_its_tags_in_later_versions_and_by_nothing_before() {
    let bare = "type: Dataplane\nname: web\nnetworking: {address: 10.0.0.1, gateway: {tags: {kuma.io/service: web, team: a}}, outbound: [{port: 1000, tags: {kuma.io/service: db}}]}";
    for target in [MESH, SUBSET, SERVICE, SERVICE_SUBSET] {
        let texts = [bare, &route("r", target, &to("other"))];
        assert_eq!(first_backend(&resolve(&texts)), "db", "{target}");
        assert_eq!(first_backend(&resolve_with(&texts, LATEST)), "other", "{target}");
    }
    let texts = [bare, &route("r", "{kind: MeshSubset, tags: {team: b}}", &to("other"))];
    assert_eq!(first_backend(&resolve_with(&texts, LATEST)), "db");
}

#[test]
fn a_star_is_any_value_of_a_tag_that_is_there_but_not_in_a_backend() {
    let selects =
        |target: &str| first_backend(&resolve(&[WEB, &route("r", target, &to("other"))])) == "other";
    assert!(selects("{kind: MeshSubset, tags: {team: '*'}}"));
    assert!(selects("{kind: MeshServiceSubset, name: web, tags: {team: '*'}}"));
    assert!(!selects("{kind: MeshSubset, tags: {version: '*'}}"));
    let star = route("r", MESH, "{kind: MeshServiceSubset, name: db, tags: {v: '*'}}");
    assert_eq!(backends(&resolve(&[WEB, &db(&[(1, ", v: a")]), &star]))[0].2, Vec::<String>::new());
}

#[test]
fn a_subset_without_tags_is_all_of_it() {
    let all = route("r", "{kind: MeshSubset}", "{kind: MeshServiceSubset, name: other}");
    let other = db(&[(1, ", v: a"), (2, "")]).replace("service: db", "service: other");
    for options in [Options::default(), LATEST] {
        let routes = resolve_with(&[WEB, &other, &all], options);
        assert_eq!(backends(&routes)[0].2, ["10.0.1.1:5432", "10.0.1.2:5432"]);
    }
    let service = route("r", "{kind: MeshServiceSubset, name: web}", &to("other"));
    assert_eq!(first_backend(&resolve(&[WEB, &service])), "other");
}

#[test]
fn a_policy_may_be_for_sidecars_or_for_gateways_only() {
    let of =
        |name: &str, types: &str| route(name, &format!("{{kind: Mesh, proxyTypes: [{types}]}}"), &to(name));
    let texts = [WEB, &of("b", "Sidecar"), &of("a", "Gateway")];
    assert_eq!(first_backend(&resolve_with(&texts, LATEST)), "b");
    let gateway = WEB.split("  inbound").next().unwrap().to_owned()
        + "  gateway: {tags: {kuma.io/service: web}}\n  outbound: [{port: 1000, tags: {kuma.io/service: db}}]\n";
    assert_eq!(first_backend(&resolve_with(&[&gateway, texts[1], texts[2]], LATEST)), "a");
    assert_eq!(first_backend(&resolve_with(&[WEB, texts[2], &of("c", "Gateway, Sidecar")], LATEST)), "c");
}

#[test]
fn a_route_of_a_builtin_gateway_concerns_no_sidecar() {
    let gateway = "type: MeshTCPRoute\nname: edge\nspec: {targetRef: {kind: MeshGateway, name: g}, \
        to: [{targetRef: {kind: Mesh}, rules: [{default: {backendRefs: [{kind: MeshService, name: other}]}}]}]}";
    let texts = [WEB, gateway, &route("r", MESH, &to("mine"))];
    assert_eq!(first_backend(&resolve_with(&texts, LATEST)), "mine");
}

#[test]
fn on_kubernetes_name_and_namespace_are_compared_as_one() {
    let policy = |name: &str, backend: &str| {
        format!(
            "{{apiVersion: kuma.io/v1alpha1, kind: MeshTCPRoute, metadata: {{name: {name}, namespace: kuma-system}}, \
             spec: {{targetRef: {{kind: Mesh}}, to: [{{targetRef: {{kind: MeshService, name: db}}, \
             rules: [{{default: {{backendRefs: [{backend}]}}}}]}}]}}}}"
        )
    };
    // A dash comes before the dot of the namespace.
    let texts = [WEB, &policy("pg", &to("plain")), &policy("pg-next", &to("longer"))];
    assert_eq!(first_backend(&resolve(&texts)), "plain");
    assert_eq!(first_backend(&resolve_with(&texts, LATEST)), "plain");
}

#[test]
fn version_3_has_dataplanes_and_the_mesh_to_select() {
    let selects =
        |target: &str| first_backend(&resolve_with(&[WEB, &route("r", target, &to("other"))], V3)) == "other";
    assert!(selects(MESH) && selects("{kind: Dataplane}"));
    assert!(![SUBSET, SERVICE, SERVICE_SUBSET].into_iter().any(selects));
}

#[test]
fn the_number_of_tags_plays_no_part() {
    let many = "{kind: MeshSubset, tags: {team: a, kuma.io/service: web}}";
    let texts = [WEB, &route("a", many, &to("many")), &route("b", SUBSET, &to("one"))];
    assert_eq!(first_backend(&resolve(&texts)), "one");
}

#[test]
fn policies_that_the_proxy_would_have_enforced_are_listed_once() {
    let other = |kind: &str, name: &str, spec: &str| format!("type: {kind}\nname: {name}\n{spec}\n");
    let texts = [
        WEB.to_owned(),
        db(&[(1, "")]),
        other("MeshTimeout", "all", "spec: {targetRef: {kind: Mesh}}"),
        other("MeshRetry", "mine", "spec: {targetRef: {kind: MeshService, name: web}}"),
        other("MeshRetry", "others", "spec: {targetRef: {kind: MeshService, name: db}}"),
        other("MeshAccessLog", "gateway", "spec: {targetRef: {kind: MeshGateway, name: g}}"),
        other("MeshTrafficPermission", "elsewhere", "mesh: staging\nspec: {targetRef: {kind: Mesh}}"),
        other("TrafficPermission", "any", "sources: [{match: {kuma.io/service: '*'}}]\ndestinations: []"),
        other("TrafficPermission", "db", "sources: [{match: {kuma.io/service: db}}]"),
        "{apiVersion: kuma.io/v1alpha1, kind: Timeout, mesh: default, metadata: {name: k}, \
         spec: {sources: [], destinations: [{match: {team: a}}]}}"
            .to_owned(),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let expected = ["MeshRetry mine", "MeshTimeout all", "Timeout k", "TrafficPermission any"];
    assert_eq!(not_enforced(&resolve(&texts)), expected);
}

#[test]
fn nothing_is_listed_as_not_enforced_where_nothing_bypasses_the_proxy() {
    let http = db(&[(1, ", kuma.io/protocol: http")]);
    let timeout = "type: MeshTimeout\nname: t\nspec: {targetRef: {kind: Mesh}}";
    assert!(resolve(&[WEB, &http, timeout]).not_enforced().is_empty());
    assert_eq!(not_enforced(&resolve(&[WEB, timeout])), ["MeshTimeout t"]);
}

#[test]
fn other_policies_are_never_an_error_and_listed_where_in_doubt() {
    let odd = "type: MeshRetry\nname: odd\nspec: {targetRef: [1], sources: x, to: {a: 1, a: 2}, 1: 2}";
    let later =
        "type: MeshMetric\nname: later\nspec: {targetRef: {kind: SomethingNew, proxyTypes: [Sidecar]}}";
    assert_eq!(not_enforced(&resolve(&[WEB, odd, later])), ["MeshMetric later", "MeshRetry odd"]);
}

fn not_enforced(routes: &DataplaneRoutes) -> Vec<&str> {
    routes.not_enforced().into_keys().collect()
}
