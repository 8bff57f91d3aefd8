use std::{fmt::Write, path::Path};

use proptest::prelude::*;

use super::*;
use crate::{
    resources::ServiceBy,
    routing::{Action, ResolvedBackend},
    sources,
};

/// A Dataplane `web` that dials `db` at 127.0.0.1:1000, and whatever else the test adds.
const WEB: &str = "
type: Dataplane
name: web
networking:
  address: 10.0.0.1
  inbound:
    - {port: 80, tags: {kuma.io/service: web, team: a}}
    - {port: 81, tags: {kuma.io/service: web-admin, team: b}}
  outbound:
    - {port: 1000, tags: {kuma.io/service: db}}
";

fn resources(texts: &[&str]) -> Resources {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("all.yaml");
    std::fs::write(&path, texts.join("\n---\n")).unwrap();
    sources::load(&[path]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn resolve_with(texts: &[&str], options: Options) -> DataplaneRoutes {
    let resources = resources(texts);
    let dual_stack = ["192.0.2.7", "2001:db8::7"].map(|ip| ip.parse().unwrap()).to_vec();
    let dns = DnsAnswers::from([("db.example.com".to_owned(), dual_stack)]);
    Resolver::new(resources, dns, options).resolve(&MeshName::default(), "web").unwrap()
}

fn resolve(texts: &[&str]) -> DataplaneRoutes {
    resolve_with(texts, Options::default())
}

/// `db` behind one endpoint for each `(last byte of the address, more tags)`.
fn db(endpoints: &[(u8, &str)]) -> String {
    let mut text = String::new();
    for (last, tags) in endpoints {
        write!(
            text,
            "type: Dataplane\nname: db-{last}\nnetworking:\n  address: 10.0.1.{last}\n  inbound:\n    \
             - {{port: 5432, tags: {{kuma.io/service: db{tags}}}}}\n---\n"
        )
        .unwrap();
    }
    text
}

/// A MeshTCPRoute for `target`, to `db`, with these backendRefs.
fn route(name: &str, target: &str, refs: &str) -> String {
    let rules = if refs.is_empty() {
        String::new()
    } else {
        format!("rules: [{{default: {{backendRefs: [{refs}]}}}}]")
    };
    format!(
        "type: MeshTCPRoute\nname: {name}\nspec:\n  targetRef: {target}\n  to:\n    \
         - targetRef: {{kind: MeshService, name: db}}\n      {rules}\n"
    )
}

fn to(service: &str) -> String {
    format!("{{kind: MeshService, name: {service}}}")
}

fn name(backend: &ResolvedBackend) -> String {
    match &backend.target.service.by {
        ServiceBy::Name(name, _) => name.to_string(),
        ServiceBy::Labels(labels) => format!("{labels:?}"),
    }
}

fn backends(routes: &DataplaneRoutes) -> Vec<(String, f64, Vec<String>)> {
    let endpoints = |backend: &ResolvedBackend| backend.endpoints.iter().map(ToString::to_string).collect();
    let backends = &routes.routes[0].destination.backends;
    backends.iter().map(|backend| (name(backend), backend.share, endpoints(backend))).collect()
}

fn first_backend(routes: &DataplaneRoutes) -> String {
    backends(routes)[0].0.clone()
}

const MESH: &str = "{kind: Mesh}";
const SUBSET: &str = "{kind: MeshSubset, tags: {team: a}}";
const SERVICE: &str = "{kind: MeshService, name: web}";
const SERVICE_SUBSET: &str = "{kind: MeshServiceSubset, name: web, tags: {team: a}}";

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
fn strength_goes_from_mesh_to_service_subset() {
    let strongest = |targets: &[&str]| {
        // The names are in the opposite order, so that they would decide wrongly.
        let policies: Vec<String> = targets
            .iter()
            .enumerate()
            .map(|(i, target)| route(&format!("{}", 9 - i), target, &to(&format!("s{i}"))))
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
fn an_entry_without_rules_overrides_weaker_policies() {
    let texts = [WEB, &route("weak", MESH, &to("other")), &route("strong", SERVICE, "")];
    assert_eq!(first_backend(&resolve(&texts)), "db");
}

#[test]
fn a_conf_without_backend_refs_overrides_nothing() {
    let strong = route("strong", SERVICE, "x").replace("{backendRefs: [x]}", "{}");
    let texts = [WEB, &route("weak", MESH, &to("other")), &strong];
    assert_eq!(first_backend(&resolve(&texts)), "other");
}

#[test]
fn a_policy_never_reaches_another_mesh() {
    let foreign = route("r", MESH, &to("other")).replace("name: r\n", "name: r\nmesh: staging\n");
    let foreign_db = db(&[(9, "")]).replace("name: db-9\n", "name: db-9\nmesh: staging\n");
    let routes = resolve(&[WEB, &db(&[(1, "")]), &foreign, &foreign_db]);
    assert_eq!(backends(&routes), [("db".to_owned(), 1.0, vec!["10.0.1.1:5432".to_owned()])]);
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
fn unhealthy_inbounds_are_no_endpoints() {
    for health in ["{ready: false}", "{}"] {
        let sick = db(&[(2, "")]).replace("- {port", &format!("- {{health: {health}, port"));
        let routes = resolve(&[WEB, &db(&[(1, "")]), &sick]);
        assert_eq!(backends(&routes)[0].2, ["10.0.1.1:5432"]);
    }
    let well = db(&[(2, "")]).replace("- {port", "- {health: {ready: true}, port");
    assert_eq!(backends(&resolve(&[WEB, &well]))[0].2, ["10.0.1.2:5432"]);
}

#[test]
fn entries_of_one_policy_for_the_same_service_merge_in_order() {
    let twice = route("r", MESH, &to("first"))
        + "    - {targetRef: {kind: MeshService, name: db}, rules: [{default: {backendRefs: [{kind: MeshService, name: last}]}}]}\n";
    let routes = resolve(&[WEB, &twice]);
    assert_eq!((first_backend(&routes).as_str(), routes.routes[0].destination.policies.len()), ("last", 1));
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
fn an_outbound_makes_a_service_exist() {
    let routes = resolve(&[WEB]);
    assert_eq!(
        routes.warnings(),
        ["the route of db leads to db, which has no endpoint: its share is refused"]
    );
}

#[test]
fn other_policies_are_known_by_name() {
    let others = "type: MeshTimeout\nname: t\nspec: {any: thing}\n---\n{apiVersion: kuma.io/v1alpha1, kind: TrafficPermission, metadata: {name: p}}";
    let known: Vec<_> = resources(&[others]).other_policies.into_keys().collect();
    let known: Vec<String> = known.iter().map(|(kind, (_, name))| format!("{kind} {name}")).collect();
    assert_eq!(known, ["MeshTimeout t", "TrafficPermission p"]);
}

#[test]
fn one_address_for_two_services_leads_to_the_first_with_a_warning() {
    let both = format!("{WEB}    - {{port: 1000, tags: {{kuma.io/service: cache}}}}\n");
    let routes = resolve(&[&both, &db(&[(1, "")])]);
    assert_eq!(routes.routes.len(), 1);
    assert_eq!(&*routes.routes[0].destination.service, "cache");
    assert!(
        routes.warnings().iter().any(|warning| warning.contains("both cache and db")),
        "{:?}",
        routes.warnings()
    );
}

#[test]
fn all_weights_zero_leave_no_share() {
    let routes =
        resolve(&[WEB, &db(&[(1, "")]), &route("r", MESH, "{kind: MeshService, name: db, weight: 0}")]);
    assert!(backends(&routes).iter().all(|(_, share, _)| *share == 0.0));
    assert!(routes.warnings()[0].contains("all weights"), "{:?}", routes.warnings());
}

#[test]
fn the_inbounds_address_then_the_advertised_then_the_dataplanes() {
    let advertised = db(&[(1, "")]).replace("  address", "  advertisedAddress: 10.9.9.9\n  address");
    let own =
        advertised.replace("name: db-1\n", "name: db-2\n").replace("- {port", "- {address: 10.8.8.8, port");
    let routes = resolve(&[WEB, &advertised, &own]);
    assert_eq!(backends(&routes)[0].2, ["10.8.8.8:5432", "10.9.9.9:5432"]);
}

const EXTERNAL: &str = "
type: ExternalService
name: db-outside
tags: {kuma.io/service: outside}
networking: {address: 'db.example.com:5432'}
";

#[test]
fn an_external_service_by_name_has_the_answers_addresses() {
    let routes = resolve(&[WEB, EXTERNAL, &route("r", MESH, &to("outside"))]);
    assert_eq!(backends(&routes), [("outside".to_owned(), 1.0, vec!["192.0.2.7:5432".to_owned()])]);
    // Its IPv6 address cannot be reached from 127.0.0.1, which is nothing to warn of: the other one can.
    assert_eq!(routes.warnings(), Vec::<&str>::new());
}

#[test]
fn a_name_without_an_answer_is_no_endpoint() {
    let unknown = EXTERNAL.replace("db.example.com", "unknown.example.com");
    let routes = resolve(&[WEB, &unknown, &route("r", MESH, &to("outside"))]);
    assert_eq!(backends(&routes), [("outside".to_owned(), 1.0, vec![])]);
    assert_eq!(
        routes.warnings(),
        ["the route of db leads to outside, which has no endpoint: its share is refused"]
    );
}

#[test]
fn an_external_service_with_tls_is_left_to_the_proxy() {
    let tls = EXTERNAL.replace("5432'", "5432', tls: {enabled: true}");
    let routes = resolve(&[WEB, &tls, &route("r", MESH, &to("outside"))]);
    assert_eq!(routes.routes[0].destination.action, Action::Passthrough);
    assert!(routes.routes[0].destination.reason.contains("TLS"), "{}", routes.routes[0].destination.reason);
}

#[test]
fn mtls_leaves_connections_to_the_proxy_unless_overridden() {
    let mesh = "type: Mesh\nname: default\nmtls: {enabledBackend: ca, backends: [{name: ca, type: builtin}]}";
    let texts = [WEB, &db(&[(1, "")]), mesh, &route("r", MESH, &to("db"))];
    let routes = resolve(&texts);
    assert_eq!(routes.routes[0].destination.action, Action::Passthrough);
    assert!(routes.warnings()[0].contains("mTLS"), "{:?}", routes.warnings());
    let overridden = resolve_with(&texts, Options { allow_mtls_bypass: true, ..Options::default() });
    assert_eq!(overridden.routes[0].destination.action, Action::Route);
}

#[test]
fn http_destinations_need_a_tcp_route_alone() {
    let http = db(&[(1, ", kuma.io/protocol: http")]);
    let tcp_route = route("r", MESH, &to("db"));
    let http_route = "type: MeshHTTPRoute\nname: h\nspec: {targetRef: {kind: Mesh}, to: [{targetRef: {kind: MeshService, name: db}}]}";
    let action = |texts: &[&str]| resolve(texts).routes[0].destination.action;
    assert_eq!(action(&[WEB, &http, http_route, &tcp_route]), Action::Passthrough);
    assert_eq!(action(&[WEB, &http, &tcp_route]), Action::Route);
    assert_eq!(action(&[WEB, &http]), Action::Passthrough);
    for protocol in ["tcp", "kafka", "mysql"] {
        let other = http.replace("protocol: http", &format!("protocol: {protocol}"));
        assert_eq!(action(&[WEB, &other, http_route, &tcp_route]), Action::Route, "{protocol}");
    }
}

#[test]
fn ipv6_endpoints_are_left_out_for_ipv4_dials() {
    let six = db(&[(1, ""), (2, "")]).replace("10.0.1.2", "'2001:db8::2'");
    let routes = resolve(&[WEB, &six]);
    assert_eq!(backends(&routes)[0].2, ["10.0.1.1:5432"]);
    assert!(routes.warnings()[0].contains("IPv6"), "{:?}", routes.warnings());
    let web6 = WEB.replace("{port: 1000,", "{port: 1000, address: 'fd00::1',");
    assert_eq!(backends(&resolve(&[&web6, &six]))[0].2, ["10.0.1.1:5432", "[2001:db8::2]:5432"]);
}

#[test]
fn an_unknown_dataplane_names_the_nearest() {
    let resources = resources(&[WEB]);
    let mut resolver = Resolver::new(resources, DnsAnswers::new(), Options::default());
    let error = resolver.resolve(&MeshName::default(), "wbe").unwrap_err();
    assert_eq!(error.to_string(), "no Dataplane \"wbe\" in mesh \"default\", did you mean \"web\"?");
    let error = resolver.resolve(&"staging".parse().unwrap(), "web").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no Dataplane \"web\" in mesh \"staging\": the mesh has none in these resources"
    );
}

#[test]
fn on_kubernetes_the_name_will_do_where_it_is_unique() {
    let pod = |name: &str, namespace: &str| {
        format!(
            "{{apiVersion: kuma.io/v1alpha1, kind: Dataplane, metadata: {{name: {name}, namespace: {namespace}}}, \
             spec: {{networking: {{address: 10.0.0.1}}}}}}"
        )
    };
    let resources = resources(&[&pod("web", "a"), &pod("web", "b"), &pod("api", "a")]);
    let mut resolver = Resolver::new(resources, DnsAnswers::new(), Options::default());
    let mut find = |name: &str| match resolver.resolve(&MeshName::default(), name) {
        Ok(routes) => routes.dataplane,
        Err(error) => error.to_string(),
    };
    assert_eq!(find("api"), "api.a");
    assert_eq!(find("api.a"), "api.a");
    assert_eq!(find("web.b"), "web.b");
    assert_eq!(
        find("web"),
        "no Dataplane \"web\" in mesh \"default\": web.a and web.b have that name in their namespaces"
    );
    assert_eq!(find("web.c"), "no Dataplane \"web.c\" in mesh \"default\", did you mean \"web.a\"?");
}

#[test]
fn both_forms_of_the_examples_mean_the_same() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let dns = DnsAnswers::from([("localhost".to_owned(), vec!["127.0.0.1".parse().unwrap()])]);
    let of = |file: String| {
        let resources = sources::load(&[directory.join(file)]).unwrap_or_else(|errors| panic!("{errors}"));
        let mut resolver = Resolver::new(resources, dns.clone(), Options::default());
        resolver.resolve(&MeshName::default(), "frontend-1").unwrap()
    };
    for (example, shares) in [("split", vec![0.9, 0.1]), ("redirect", vec![1.0])] {
        let universal = of(format!("{example}-universal.yaml"));
        let kubernetes = of(format!("{example}-kubernetes.yaml"));
        assert_eq!(universal.routes[0].destination.backends, kubernetes.routes[0].destination.backends);
        let found: Vec<f64> =
            universal.routes[0].destination.backends.iter().map(|backend| backend.share).collect();
        assert_eq!(found, shares);
        assert!(universal.routes[0].destination.backends.iter().all(|backend| !backend.endpoints.is_empty()));
        assert_eq!(universal.warnings(), Vec::<&str>::new());
    }
}

fn weighted(weights: &[u32]) -> DataplaneRoutes {
    let refs: Vec<String> = weights
        .iter()
        .enumerate()
        .map(|(i, weight)| format!("{{kind: MeshService, name: s{i}, weight: {weight}}}"))
        .collect();
    resolve(&[WEB, &route("r", MESH, &refs.join(", "))])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn shares_sum_to_one(weights in proptest::collection::vec(0_u32.., 1..20)) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let sum: f64 = backends(&weighted(&weights)).iter().map(|(_, share, _)| share).sum();
        prop_assert!((sum - 1.0).abs() < 1e-9);
    }

    #[test]
    fn scaling_all_weights_changes_no_share(weights in proptest::collection::vec(0_u32..1000, 1..20), factor in 1_u32..1000) {
        let scaled: Vec<u32> = weights.iter().map(|weight| weight * factor).collect();
        for (a, b) in backends(&weighted(&weights)).iter().zip(backends(&weighted(&scaled))) {
            prop_assert!((a.1 - b.1).abs() < 1e-12);
        }
    }

    #[test]
    fn the_order_of_the_input_changes_nothing(
        texts in Just(vec![
            WEB.to_owned(), db(&[(1, ", v: a")]), db(&[(2, ", v: b")]), EXTERNAL.to_owned(),
            route("a", MESH, &to("outside")), route("b", SERVICE, &to("db")), route("c", SERVICE, &to("outside")),
        ]).prop_shuffle()
    ) {
        let shuffled: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut sorted = shuffled.clone();
        sorted.sort_unstable();
        prop_assert_eq!(resolve(&shuffled), resolve(&sorted));
    }
}
