//! Which connections are left to the proxy.

use super::*;

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

/// Every row of the protocol table, with a MeshHTTPRoute, without one, and without any policy.
#[test]
fn the_protocol_decides_between_tcp_and_http_routes() {
    let http_route = "type: MeshHTTPRoute\nname: h\nspec: {targetRef: {kind: Mesh}, to: [{targetRef: {kind: MeshService, name: db}}]}";
    let tcp_route = route("r", MESH, &to("other"));
    let tags = |protocol: &str| match protocol {
        "none" => String::new(),
        protocol => format!(", kuma.io/protocol: {protocol}"),
    };
    // The protocols of two endpoints, what they agree on, and whether requests are routed.
    for (one, another, agreed, http) in [
        ("http", "http", "http", true),
        ("http2", "http2", "http2", true),
        ("grpc", "grpc", "grpc", true),
        ("grpc", "http2", "http2", true),
        ("tcp", "tcp", "tcp", false),
        ("kafka", "kafka", "kafka", false),
        ("mysql", "mysql", "mysql", false),
        ("none", "none", "tcp", false),
        ("http", "grpc", "tcp", false),
        ("http", "http2", "tcp", false),
        ("http", "kafka", "tcp", false),
        ("http", "none", "tcp", false),
        ("none", "http", "tcp", false),
        ("http", "mysql", "tcp", false),
    ] {
        let endpoints = db(&[(1, &tags(one)), (2, &tags(another))]);
        let of = |texts: &[&str]| {
            let routes = resolve(&[&[WEB, &endpoints], texts].concat());
            let destination = &routes.routes[0].destination;
            assert_eq!(destination.protocol, agreed, "{one} and {another}");
            (destination.action, destination.backends.first().map(name))
        };
        let (proxy, other, itself) = (
            (Action::Passthrough, None),
            (Action::Route, Some("other".to_owned())),
            (Action::Route, Some("db".to_owned())),
        );
        let expect = |texts: &[&str], expected: &(Action, Option<String>)| {
            assert_eq!(of(texts), *expected, "{one} and {another} with {texts:?}");
        };
        expect(&[http_route, &tcp_route], if http { &proxy } else { &other });
        expect(&[&tcp_route], &other);
        expect(&[http_route], if http { &proxy } else { &itself });
        expect(&[], if http { &proxy } else { &itself });
    }
}

#[test]
fn an_http_route_for_other_proxies_or_destinations_covers_nothing() {
    let http = db(&[(1, ", kuma.io/protocol: http")]);
    let tcp_route = route("r", MESH, &to("db"));
    let http_route = |target: &str, to: &str| {
        format!("type: MeshHTTPRoute\nname: h\nspec: {{targetRef: {target}, to: [{{targetRef: {to}}}]}}")
    };
    let action =
        |http_route: &str| resolve(&[WEB, &http, &tcp_route, http_route]).routes[0].destination.action;
    assert_eq!(action(&http_route(MESH, &to("db"))), Action::Passthrough);
    assert_eq!(action(&http_route(MESH, &to("cache"))), Action::Route);
    assert_eq!(action(&http_route("{kind: MeshService, name: db}", &to("db"))), Action::Route);
    let foreign = http_route(MESH, &to("db")).replace("name: h\n", "name: h\nmesh: staging\n");
    assert_eq!(action(&foreign), Action::Route);
}

#[test]
fn mtls_says_why_for_strict_and_permissive_servers() {
    for (mode, why) in [("STRICT", "refuse plaintext"), ("PERMISSIVE", "silent downgrade")] {
        let mesh = format!(
            "type: Mesh\nname: default\nmtls: {{enabledBackend: ca, backends: [{{name: ca, mode: {mode}}}]}}"
        );
        let destination = &resolve(&[WEB, &db(&[(1, "")]), &mesh]).routes[0].destination;
        assert_eq!(destination.action, Action::Passthrough);
        assert!(destination.reason.contains(why), "{}", destination.reason);
        assert!(destination.warnings[0].contains(why), "{:?}", destination.warnings);
    }
}

#[test]
fn mtls_of_another_mesh_or_turned_off_changes_nothing() {
    let backends = "backends: [{name: ca}]";
    for mesh in [
        format!("type: Mesh\nname: staging\nmtls: {{enabledBackend: ca, {backends}}}"),
        format!("type: Mesh\nname: default\nmtls: {{{backends}}}"),
    ] {
        assert_eq!(resolve(&[WEB, &db(&[(1, "")]), &mesh]).routes[0].destination.action, Action::Route);
    }
}

#[test]
fn tls_of_an_external_service_with_weight_0_or_off_changes_nothing() {
    let tls = |enabled: bool| EXTERNAL.replace("5432'", &format!("5432', tls: {{enabled: {enabled}}}"));
    let outside =
        |weight: u32| format!("{}, {{kind: MeshService, name: outside, weight: {weight}}}", to("db"));
    let action = |enabled, weight| {
        let routes = resolve(&[WEB, &tls(enabled), &route("r", MESH, &outside(weight))]);
        routes.routes[0].destination.action
    };
    assert_eq!(action(true, 1), Action::Passthrough);
    assert_eq!(action(true, 0), Action::Route);
    assert_eq!(action(false, 1), Action::Route);
}

#[test]
fn what_is_outside_a_mesh_with_mtls_is_dialled_in_plaintext_by_the_proxy_too() {
    let mtls = "type: Mesh\nname: default\nmtls: {enabledBackend: ca, backends: [{name: ca, type: builtin}]}";
    let texts = [WEB, mtls, EXTERNAL, &db(&[(1, "")]), &route("r", MESH, &to("outside"))];
    for options in [Options::default(), LATEST] {
        assert_eq!(backends(&resolve_with(&texts, options.clone()))[0].2, ["192.0.2.7:5432"]);
        let both = route("r", MESH, &format!("{}, {}", to("outside"), to("db")));
        let routes = resolve_with(&[&texts[..4], &[&both]].concat(), options);
        assert_eq!(routes.routes[0].destination.action, Action::Passthrough);
    }
    let egress = format!("{mtls}\nrouting: {{zoneEgress: true}}");
    let routes = resolve(&[WEB, &egress, EXTERNAL, texts[4]]);
    assert!(routes.routes[0].destination.reason.contains("through a zone egress"));
    // Version 3 has no such mTLS.
    let routes = resolve_with(&[WEB, mtls, &db(&[(1, "")])], V3);
    assert_eq!(routes.routes[0].destination.action, Action::Route);
}

#[test]
fn in_2_4_an_http_route_to_http_services_makes_a_destination_one_of_requests() {
    let http_route = |refs: &str| {
        format!(
            "type: MeshHTTPRoute\nname: h\nspec: {{targetRef: {{kind: Mesh}}, to: [{{targetRef: {{kind: MeshService, name: db}}, \
             rules: [{{matches: [{{path: {{type: PathPrefix, value: /}}}}], default: {{backendRefs: [{refs}]}}}}]}}]}}"
        )
    };
    let services = db(&[(1, "")])
        + &db(&[(2, ", kuma.io/protocol: http")]).replace("service: db", "service: site")
        + &db(&[(3, ", kuma.io/protocol: grpc")]).replace("service: db", "service: rpc");
    let action = |http: &str, more: &str, options: Options| {
        resolve_with(&[WEB, &services, http, more], options).routes[0].destination.action
    };
    let (site, none) = (http_route(&to("site")), "");
    assert_eq!(action(&site, none, Options::default()), Action::Passthrough);
    assert_eq!(action(&site, none, LATEST), Action::Route);
    assert_eq!(action(&site, &route("r", MESH, &to("db")), Options::default()), Action::Route);
    for refs in [
        to("rpc"),
        to("db"),
        format!("{}, {}", to("site"), to("db")),
        "{kind: MeshService, name: site, weight: 0}".to_owned(),
    ] {
        assert_eq!(action(&http_route(&refs), none, Options::default()), Action::Route, "{refs}");
    }
}
