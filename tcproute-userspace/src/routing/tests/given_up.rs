//! What connections go without that bypass the proxy, and what is left to the proxy so that they do not.

use super::*;

/// What a Dataplane gives up on its only route.
fn given_up(texts: &[&str]) -> Vec<String> {
    let routes = resolve(&[&[WEB, &db(&[(1, "")])], texts].concat());
    let [route] = routes.routes.iter().collect::<Vec<_>>()[..] else { panic!("{routes:?}") };
    route.not_enforced(&routes.other_policies).into_iter().map(str::to_owned).collect()
}

fn reason(texts: &[&str], kept: &str) -> String {
    let options = Options { kept: kept.parse().unwrap(), ..Options::default() };
    let routes = resolve_with(&[&[WEB, &db(&[(1, "")])], texts].concat(), options);
    routes.routes[0].destination.reason.clone()
}

fn policy(kind: &str, spec: &str) -> String {
    format!("type: {kind}\nname: p\nspec: {{targetRef: {{kind: Mesh}}, {spec}}}")
}

fn permission(target: &str, from: &str, action: &str) -> String {
    let from = format!("from: [{{targetRef: {from}, default: {{action: {action}}}}}]");
    format!("type: MeshTrafficPermission\nname: p\nspec: {{targetRef: {target}, {from}}}")
}

const ITSELF: &str = "no MeshTCPRoute names it: the destination itself";
const DENIED: &str = "MeshTrafficPermission p may deny it, which is kept at the proxy (--sidecar-keep)";

#[test]
fn a_policy_is_given_up_where_it_is_about_what_is_dialled() {
    for (to, is_about) in [
        ("{kind: MeshService, name: db}", true),
        ("{kind: MeshServiceSubset, name: db, tags: {v: a}}", true),
        ("{kind: MeshService, name: cache}", false),
        ("{kind: MeshExternalService, name: db}", false),
        ("{kind: MeshMultiZoneService, labels: {app: db}}", false),
        ("{kind: Mesh}", true),
        // What cannot be told is about all.
        ("{kind: MeshHTTPRoute, name: h}", true),
        ("{kind: SomethingNew}", true),
    ] {
        let timeout = policy("MeshTimeout", &format!("to: [{{targetRef: {to}}}]"));
        let expected = if is_about { vec!["MeshTimeout p"] } else { vec![] };
        assert_eq!(given_up(&[&timeout]), expected, "{to}");
    }
}

#[test]
fn a_policy_of_the_first_generation_says_it_by_tags() {
    for (source, destination, is_about) in
        [("web", "db", true), ("'*'", "'*'", true), ("web", "cache", false), ("db", "db", false)]
    {
        let retry = format!(
            "type: Retry\nname: p\nsources: [{{match: {{kuma.io/service: {source}}}}}]\n\
             destinations: [{{match: {{kuma.io/service: {destination}}}}}]"
        );
        assert_eq!(given_up(&[&retry]).len(), usize::from(is_about), "{source} to {destination}");
    }
}

/// The proxy of the server stays in the path.
#[test]
fn what_servers_enforce_is_not_given_up_unless_it_needs_tls() {
    let from = "from: [{targetRef: {kind: Mesh}, default: {http: {}}}]";
    assert!(given_up(&[&policy("MeshRateLimit", from)]).is_empty());
    assert!(given_up(&[&policy("MeshFaultInjection", "rules: [{default: {http: []}}]")]).is_empty());
    // Of both kinds of lists, that about what is dialled is given up.
    let both = format!("{from}, to: [{{targetRef: {{kind: Mesh}}}}]");
    assert_eq!(given_up(&[&policy("MeshAccessLog", &both)]), ["MeshAccessLog p"]);
    let allow = |target| permission(target, MESH, "Allow");
    assert_eq!(given_up(&[&allow(MESH)]), ["MeshTrafficPermission p"]);
    assert_eq!(given_up(&[&allow("{kind: MeshService, name: db}")]), ["MeshTrafficPermission p"]);
    assert!(given_up(&[&allow(SERVICE)]).is_empty());
    assert!(given_up(&[&allow("{kind: MeshSubset, tags: {team: a}}")]).is_empty());
}

#[test]
fn nothing_is_given_up_by_what_is_left_to_the_proxy() {
    let timeout = policy("MeshTimeout", "to: [{targetRef: {kind: Mesh}}]");
    let http = db(&[(1, ", kuma.io/protocol: http")]);
    let routes = resolve(&[WEB, &http, &timeout]);
    assert_eq!(routes.routes[0].destination.bypass, None);
    assert!(routes.not_enforced().is_empty());
}

#[test]
fn a_permission_that_denies_is_kept_by_default() {
    for (deny, is_kept) in [
        (permission(MESH, MESH, "Deny"), true),
        (permission("{kind: MeshService, name: db}", SERVICE, "Deny"), true),
        (permission("{kind: MeshSubset, tags: {kuma.io/service: db}}", SUBSET, "DENY"), true),
        // It denies others, or at other servers, or nobody yet.
        (permission(MESH, "{kind: MeshSubset, tags: {team: c}}", "Deny"), false),
        (permission(SERVICE, MESH, "Deny"), false),
        (permission(MESH, MESH, "Allow"), false),
        (permission(MESH, MESH, "AllowWithShadowDeny"), false),
        // Who that is cannot be told.
        (policy("MeshTrafficPermission", "rules: [{default: {deny: [{spiffeID: {value: x}}]}}]"), true),
        (policy("MeshTrafficPermission", "rules: [{default: {allow: [{spiffeID: {value: x}}]}}]"), false),
    ] {
        let expected = if is_kept { DENIED } else { ITSELF };
        assert_eq!(reason(&[&deny], "MeshTrafficPermission"), expected, "{deny}");
        assert_eq!(reason(&[&deny], "none"), ITSELF);
    }
    let routes = resolve(&[WEB, &db(&[(1, "")]), &permission(MESH, MESH, "Deny")]);
    assert_eq!(routes.warnings(), [format!("connections to db are left to the proxy: {DENIED}")]);
}

#[test]
fn the_servers_are_those_to_which_connections_go() {
    let split =
        |weight: u8| route("r", MESH, &format!("{}, {}", to("db"), to(&format!("cache, weight: {weight}"))));
    let cache = "type: Dataplane\nname: cache\nnetworking: {address: 10.0.2.1, inbound: [{port: 1, tags: {kuma.io/service: cache}}]}";
    let deny = permission("{kind: MeshService, name: cache}", MESH, "Deny");
    assert_eq!(reason(&[cache, &deny, &split(1)], "MeshTrafficPermission"), DENIED);
    assert_eq!(reason(&[cache, &deny, &split(0)], "MeshTrafficPermission"), "MeshTCPRoute");
}

#[test]
fn kinds_that_are_kept_leave_what_they_are_about_to_the_proxy() {
    let kept = "MeshTimeout p is kept at the proxy (--sidecar-keep)";
    let about = |to: &str| policy("MeshTimeout", &format!("to: [{{targetRef: {to}}}]"));
    for (to, expected) in
        [(MESH, kept), ("{kind: MeshService, name: db}", kept), ("{kind: MeshService, name: cache}", ITSELF)]
    {
        assert_eq!(reason(&[&about(to)], "MeshRetry,MeshTimeout"), expected);
        assert_eq!(reason(&[&about(to)], "MeshRetry"), ITSELF);
    }
}

#[test]
fn what_servers_do_with_plaintext_is_told() {
    let mesh = |mode: &str| {
        format!(
            "type: Mesh\nname: default\nmtls: {{enabledBackend: ca, backends: [{{name: ca, type: builtin, mode: {mode}}}]}}"
        )
    };
    let options = Options { allow_mtls_bypass: true, ..Options::default() };
    let db = db(&[(1, "")]);
    for (more, expected) in [
        ("type: Mesh\nname: default".to_owned(), Plaintext::Accepted),
        (mesh("PERMISSIVE"), Plaintext::Permissive),
        (mesh("STRICT"), Plaintext::Refused),
    ] {
        let routes = resolve_with(&[WEB, &db, &more], options.clone());
        assert_eq!(routes.routes[0].destination.bypass.as_ref().unwrap().plaintext, expected);
        let json = serde_json::to_value(&routes).unwrap();
        let told = (expected != Plaintext::Accepted).then(|| serde_json::to_value(expected).unwrap());
        assert_eq!(json["routes"][0].get("plaintext"), told.as_ref());
    }
    let json = serde_json::to_value(resolve(&[WEB, &db, &mesh("STRICT")])).unwrap();
    assert_eq!(json["routes"][0].get("plaintext"), None);
}

#[test]
fn routes_and_dataplanes_name_in_json_what_is_not_enforced() {
    let timeout = policy("MeshTimeout", "to: [{targetRef: {kind: MeshService, name: db}}]");
    let metric = policy("MeshMetric", "default: {}");
    let json = serde_json::to_value(resolve(&[WEB, &db(&[(1, "")]), &timeout, &metric])).unwrap();
    let expected = serde_json::json!(["MeshMetric p", "MeshTimeout p"]);
    assert_eq!(json["routes"][0]["notEnforced"], expected);
    assert_eq!(json["notEnforced"], expected);
}

/// What is about one service is no matter of others, and a destination is one for all to which the same applies.
#[test]
fn another_policy_touches_what_it_is_about() {
    let cache = "    - {port: 1001, tags: {kuma.io/service: cache}}\n";
    let web = WEB.to_owned() + cache;
    let other = web.replace("name: web", "name: other");
    let timeout = policy("MeshTimeout", "to: [{targetRef: {kind: MeshService, name: db}}]");
    let mut resolver = resolver(&[&web, &other], Options::default());
    let mut routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    let before = routes.clone();
    let update = resolver.update(resources(&[&web, &other, &timeout]), dns());
    assert!(refresh(&mut resolver, &mut routes, &update).unwrap());
    let same = |i: usize| Arc::ptr_eq(&before.routes[i].destination, &routes.routes[i].destination);
    assert_eq!([same(0), same(1)], [true, false]);
    let others = resolver.resolve(&MeshName::default(), "other").unwrap();
    assert!(Arc::ptr_eq(&others.routes[1].destination, &routes.routes[1].destination));
}
