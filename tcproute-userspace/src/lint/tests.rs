//! Each rule: what it sees, and where it is silent.

mod properties;

use std::path::Path;

use super::{Code, Scope, lint};
use crate::{policy::Compat, resources::Resources, routing, sources};

/// `web` dials `backend`, of which there are two versions.
const MESH: &str = "
type: Dataplane
name: web
networking:
  address: 10.0.0.1
  inbound: [{port: 80, tags: {kuma.io/service: web, team: a}}]
  outbound: [{port: 1000, tags: {kuma.io/service: backend}}]
---
type: Dataplane
name: backend-1
networking:
  address: 10.0.0.2
  inbound: [{port: 80, tags: {kuma.io/service: backend, version: '1.0'}}]
---
type: Dataplane
name: backend-2
networking:
  address: 10.0.0.3
  inbound: [{port: 80, tags: {kuma.io/service: backend, version: '2.0'}, health: {ready: false}}]
";

fn resources(texts: &[&str]) -> Resources {
    let text = texts.join("\n---\n");
    sources::parse(Path::new("a.yaml"), text.as_bytes()).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn options(compat: Compat) -> routing::Options {
    routing::Options { compat, ..routing::Options::default() }
}

/// Code, name and field of each warning.
fn told_in(scope: Scope, compat: Compat, texts: &[&str]) -> Vec<String> {
    let warnings = lint(&resources(texts), &options(compat), scope);
    warnings.iter().map(|it| format!("{} {} {}", it.code, it.object.key.1, it.field)).collect()
}

fn told(texts: &[&str]) -> Vec<String> {
    told_in(Scope::Part, Compat::V2_4, texts)
}

fn message(texts: &[&str]) -> String {
    let warnings = lint(&resources(texts), &options(Compat::V2_4), Scope::Part);
    warnings.iter().map(|it| it.message.clone()).collect::<Vec<_>>().join("\n")
}

/// A route of this name for some proxies, to `backend`, with these backendRefs.
fn route(name: &str, top: &str, refs: &str) -> String {
    to(name, top, "backend", refs)
}

fn to(name: &str, top: &str, service: &str, refs: &str) -> String {
    format!(
        "
type: MeshTCPRoute
name: {name}
spec:
  targetRef: {{{top}}}
  to:
    - targetRef: {{kind: MeshService, name: {service}}}
      rules: [{{default: {{backendRefs: [{refs}]}}}}]"
    )
}

/// With these weights.
fn weights(weights: &[u32]) -> String {
    let one = |weight: &u32| format!("{{kind: MeshService, name: backend, weight: {weight}}}");
    route("a", "kind: Mesh", &weights.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn subset(version: &str, weight: u32) -> String {
    let tags = format!("{{version: '{version}'}}");
    format!("{{kind: MeshServiceSubset, name: backend, weight: {weight}, tags: {tags}}}")
}

const ITSELF: &str = "{kind: MeshService, name: backend}";
const REFS: &str = "spec.to[0].rules[0].default.backendRefs";

#[test]
fn weights_that_are_all_zero() {
    assert_eq!(told(&[&weights(&[0, 0])]), [format!("TCP001 a {REFS}")]);
    assert!(told(&[&weights(&[0, 1])]).is_empty());
}

#[test]
fn shares_under_a_hundredth_of_a_percent() {
    assert_eq!(told(&[&weights(&[10_000, 1])]), [format!("TCP007 a {REFS}[1].weight")]);
    assert!(told(&[&weights(&[9_999, 1])]).is_empty());
    assert!(told(&[&weights(&[10_000, 0])]).is_empty());
    assert_eq!(told(&[&weights(&[u32::MAX, u32::MAX, 1])]), [format!("TCP007 a {REFS}[2].weight")]);
}

#[test]
fn weights_that_look_like_percent() {
    assert_eq!(told(&[&weights(&[90, 1])]), [format!("TCP008 a {REFS}")]);
    assert_eq!(message(&[&weights(&[95, 6, 0])]), "95 + 6 is 101: it looks like percent, and is not 100");
    assert!(told(&[&weights(&[90, 10])]).is_empty());
}

#[test]
fn a_subset_that_no_endpoint_has() {
    let third = route("a", "kind: Mesh", &format!("{}, {}", subset("1.0", 9), subset("3.0", 1)));
    assert_eq!(told(&[MESH, &third]), [format!("TCP002 a {REFS}[1]")]);
    assert_eq!(
        message(&[MESH, &third]),
        "backend has no endpoint with version=3.0: its share is refused; version is 1.0, 2.0"
    );
    let misspelt = third.replace("version: '3.0'", "verison: '1.0'");
    assert_eq!(
        message(&[MESH, &misspelt]),
        "backend has no endpoint with verison=1.0: its share is refused; \
         its endpoints have no tag verison, did you mean version?"
    );
}

#[test]
fn what_has_no_endpoint_yet_is_left_alone() {
    // One that is not ready is there, and one of weight 0 is prepared.
    let prepared =
        route("a", "kind: Mesh", &[subset("1.0", 9), subset("2.0", 1), subset("3.0", 0)].join(", "));
    assert!(told(&[MESH, &prepared]).is_empty());
    let third = route("a", "kind: Mesh", &subset("3.0", 1));
    assert!(told_in(Scope::Torn, Compat::V2_4, &[MESH, &third]).is_empty());
}

#[test]
fn a_service_that_is_nowhere() {
    let other = route("a", "kind: Mesh", "{kind: MeshService, name: elsewhere}");
    // Its servers may be in other files, until some are in these.
    assert!(told(&[MESH, &other]).is_empty());
    let both = route("a", "kind: Mesh", &format!("{ITSELF}, {{kind: MeshService, name: elsewhere}}"));
    assert_eq!(told(&[MESH, &both]), [format!("TCP002 a {REFS}[1]")]);
    assert_eq!(told_in(Scope::Whole, Compat::V2_4, &[MESH, &other]), [format!("TCP002 a {REFS}[0]")]);
    assert!(told_in(Scope::Whole, Compat::V2_4, &[&other]).is_empty(), "no mesh has a Dataplane");
}

#[test]
fn an_external_service_is_an_endpoint_whatever_its_tags() {
    let external = "
type: ExternalService
name: backend-out
tags: {kuma.io/service: backend}
networking: {address: '10.9.9.9:80'}";
    let third = route("a", "kind: Mesh", &subset("3.0", 1));
    assert!(told(&[MESH, external, &third]).is_empty());
    // In later versions one that has inbounds has no such endpoint, and in the last there are none.
    for compat in [Compat::Latest, Compat::V3] {
        assert_eq!(told_in(Scope::Part, compat, &[MESH, external, &third]), [format!("TCP002 a {REFS}[0]")]);
    }
}

#[test]
fn a_service_resource_that_is_nowhere() {
    let known = "
type: MeshService
name: backend
spec: {selector: {dataplaneTags: {kuma.io/service: backend}}, ports: [{port: 80}]}";
    let port = |name| route("a", "kind: Mesh", &format!("{{kind: MeshService, name: {name}, port: 80}}"));
    let (good, bad) = (port("backend"), port("cache"));
    assert!(told_in(Scope::Part, Compat::Latest, &[known, &good]).is_empty());
    assert_eq!(told_in(Scope::Part, Compat::Latest, &[known, &bad]), [format!("TCP002 a {REFS}[0]")]);
    assert!(told_in(Scope::Part, Compat::Latest, &[MESH, &bad]).is_empty(), "no resource is there");
}

#[test]
fn a_route_that_selects_nobody() {
    for (top, is_told) in [
        ("kind: Mesh", false),
        ("kind: MeshSubset, tags: {team: a}", false),
        ("kind: MeshSubset, tags: {team: '*'}", false),
        ("kind: MeshSubset, tags: {team: b}", true),
        ("kind: MeshSubset, tags: {team: a, version: '1.0'}", true),
        ("kind: MeshService, name: web", false),
        ("kind: MeshService, name: cache", true),
        ("kind: MeshServiceSubset, name: web, tags: {team: a}", false),
        ("kind: MeshServiceSubset, name: backend, tags: {team: a}", true),
        ("kind: Dataplane, name: web", false),
        ("kind: Dataplane, name: cache", true),
        ("kind: Dataplane, labels: {app: web}", true),
        ("kind: Dataplane", false),
    ] {
        let found = told(&[MESH, &route("a", top, ITSELF)]);
        assert_eq!(found, if is_told { vec!["TCP003 a spec.targetRef"] } else { vec![] }, "{top}");
        let alone = told(&[&route("a", top, ITSELF)]);
        assert!(alone.is_empty(), "{top}: {alone:?}");
    }
}

#[test]
fn who_dials_may_be_in_other_files() {
    let cache = route("a", "kind: MeshService, name: cache", ITSELF);
    let servers = MESH.replace("  outbound: [{port: 1000, tags: {kuma.io/service: backend}}]\n", "");
    assert!(told(&[&servers, &cache]).is_empty());
    assert_eq!(told_in(Scope::Whole, Compat::V2_4, &[&servers, &cache]), ["TCP003 a spec.targetRef"]);
    let shadow = cache.replace("name: a", "name: a\nlabels: {kuma.io/effect: shadow}");
    assert!(told(&[MESH, &shadow]).is_empty());
}

#[test]
fn a_route_that_is_wholly_overridden() {
    let web = "kind: MeshService, name: web";
    let (a, b) = (route("a", web, ITSELF), route("b", web, ITSELF));
    assert_eq!(told(&[&a, &b]), ["TCP004 a spec.targetRef"]);
    assert_eq!(told_in(Scope::Part, Compat::Latest, &[&a, &b]), ["TCP004 b spec.targetRef"]);
    // A default with an exception, other destinations, another mesh, one that is tried out.
    assert!(told(&[&route("a", "kind: Mesh", ITSELF), &b]).is_empty());
    assert!(told(&[&a, &to("b", web, "cache", ITSELF)]).is_empty());
    assert!(told(&[&a, &b.replace("name: b\n", "name: b\nmesh: other\n")]).is_empty());
    assert!(told(&[&a, &b.replace("name: b\n", "name: b\nlabels: {kuma.io/effect: shadow}\n")]).is_empty());
    let more = "
    - targetRef: {kind: MeshService, name: cache}
      rules: [{default: {backendRefs: [{kind: MeshService, name: cache}]}}]";
    assert!(told(&[&format!("{a}{more}"), &b]).is_empty(), "a part of it is in force");
    assert_eq!(
        told(&[&format!("{a}{more}"), &b, &to("c", web, "cache", ITSELF)]),
        ["TCP004 a spec.targetRef"]
    );
}

#[test]
fn an_entry_that_is_there_twice() {
    let twice = format!(
        "{}
    - targetRef: {{kind: MeshService, name: backend}}",
        route("a", "kind: Mesh", ITSELF)
    );
    assert_eq!(told(&[&twice]), ["TCP004 a spec.to[0]"]);
}

fn http(top: &str) -> String {
    format!(
        "
type: MeshHTTPRoute
name: http
spec:
  targetRef: {{{top}}}
  to:
    - targetRef: {{kind: MeshService, name: backend}}
      rules: [{{matches: [{{path: {{type: PathPrefix, value: /}}}}], default: {{}}}}]"
    )
}

#[test]
fn a_route_that_a_mesh_http_route_covers() {
    let of_http = MESH.replace("service: backend,", "service: backend, kuma.io/protocol: http,");
    let a = route("a", "kind: MeshService, name: web", ITSELF);
    for top in ["kind: Mesh", "kind: MeshService, name: web"] {
        assert_eq!(told(&[&of_http, &a, &http(top)]), ["TCP005 a spec.to[0]"], "{top}");
        assert!(told(&[MESH, &a, &http(top)]).is_empty(), "it is of tcp");
    }
    let narrow = http("kind: MeshSubset, tags: {team: a}");
    assert!(told(&[&of_http, &a, &narrow]).is_empty(), "others may be selected by the route alone");
    assert!(told(&[&a, &http("kind: Mesh")]).is_empty(), "the protocol is not known");
}

#[test]
fn endpoints_that_differ_in_protocol() {
    let mixed = MESH.replace("service: backend, version: '1.0'", "service: backend, kuma.io/protocol: http");
    assert_eq!(told(&[&mixed]), ["TCP006 backend-1 networking.inbound[0].tags"]);
    assert_eq!(
        message(&[&mixed]),
        "the endpoints of backend differ in protocol (1 of http, 1 of tcp): it counts as tcp"
    );
    let same = MESH.replace("service: backend,", "service: backend, kuma.io/protocol: HTTP,");
    assert!(told(&[&same]).is_empty());
    let said = MESH.replace("service: backend, version: '1.0'", "service: backend, kuma.io/protocol: tcp");
    assert!(told(&[&said]).is_empty(), "tcp is what is meant where nothing is said");
}

#[test]
fn names_that_differ_by_a_letter() {
    let backned = "{kind: MeshService, name: backned}";
    let of = |top: &str, service: &str, one: &str| to("a", top, service, one);
    let mesh = "kind: Mesh";
    assert_eq!(told(&[MESH, &of(mesh, "backend", backned)]), [format!("TCP009 a {REFS}[0].name")]);
    assert_eq!(told(&[MESH, &of(mesh, "backned", ITSELF)]), ["TCP009 a spec.to[0].targetRef.name"]);
    assert_eq!(
        told(&[MESH, &of("kind: MeshService, name: bakend", "backend", ITSELF)]),
        ["TCP009 a spec.targetRef.name"]
    );
    let outbound = MESH.replace("{kuma.io/service: backend}}]", "{kuma.io/service: backned}}]");
    assert_eq!(told(&[&outbound]), ["TCP009 web networking.outbound[0].tags"]);
    // Without a Dataplane the route itself tells.
    assert_eq!(told(&[&of(mesh, "backend", backned)]), [format!("TCP009 a {REFS}[0].name")]);
}

#[test]
fn names_that_are_meant_to_be_alike() {
    let led = MESH.replace("{kuma.io/service: backend}}]", "{kuma.io/service: backned}}]");
    assert!(
        told(&[&led, &to("a", "kind: Mesh", "backned", ITSELF)]).is_empty(),
        "the route leads it elsewhere"
    );
    for name in ["backend2", "backends", "backend-canary"] {
        let split = route("a", "kind: Mesh", &format!("{{kind: MeshService, name: {name}}}"));
        assert!(told(&[&split]).is_empty(), "{name}");
    }
}

#[test]
fn a_label_silences_an_object() {
    for (label, is_told) in [("TCP001", false), ("TCP008.TCP001", false), ("TCP002", true), ("", true)] {
        let labelled = weights(&[0])
            .replace("name: a\n", &format!("name: a\nlabels: {{tcproute.io/ignore: '{label}'}}\n"));
        assert_eq!(told(&[&labelled]).len(), usize::from(is_told), "{label}");
    }
}

#[test]
fn codes_are_numbered_without_a_gap() {
    for (code, number) in Code::ALL.into_iter().zip(1..) {
        assert_eq!(code.as_str(), format!("TCP{number:03}"));
    }
}
