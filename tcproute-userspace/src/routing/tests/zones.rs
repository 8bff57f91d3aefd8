//! Resources of other zones.

use super::*;

#[test]
fn dataplanes_of_other_zones_are_no_endpoints() {
    let east = WEB.replace("team: a}", "team: a, kuma.io/zone: east}");
    let endpoints = db(&[(1, ""), (2, ", kuma.io/zone: east"), (3, ", kuma.io/zone: west")]);
    for options in [Options::default(), LATEST] {
        let routes = resolve_with(&[&east, &endpoints], options.clone());
        assert_eq!(backends(&routes)[0].2, ["10.0.1.1:5432", "10.0.1.2:5432"]);
        // Who is of no zone that is known has all there are: the control plane of a zone has no others.
        assert_eq!(backends(&resolve_with(&[WEB, &endpoints], options.clone()))[0].2.len(), 3);
    }
    let label = "labels: {kuma.io/zone: west}";
    let labelled = db(&[(1, "")]).replace("name: db-1\n", &format!("name: db-1\n{label}\n"));
    let web = WEB.replace("name: web\n", "name: web\nlabels: {kuma.io/zone: east}\n");
    let routes = resolve_with(&[&web, &labelled], V3);
    let reason = "the endpoints of db are in other zones, which only a zone proxy reaches";
    assert_eq!(routes.routes[0].destination.reason, reason);
}

#[test]
fn a_share_that_is_in_other_zones_only_leaves_all_of_it_to_the_proxy() {
    let east = WEB.replace("team: a}", "team: a, kuma.io/zone: east}");
    let endpoints = db(&[(1, ", kuma.io/zone: east, version: v1"), (2, ", kuma.io/zone: west, version: v2")]);
    let reason = |refs: &str| {
        let policy = route("r", MESH, refs);
        resolve_with(&[&east, &endpoints, &policy], Options::default()).routes[0].destination.reason.clone()
    };
    let subset = |version: &str, weight: u32| {
        format!("{{kind: MeshServiceSubset, name: db, tags: {{version: {version}}}, weight: {weight}}}")
    };
    let elsewhere = "the endpoints of db are in other zones, which only a zone proxy reaches";
    assert_eq!(reason(&[subset("v1", 1), subset("v2", 1)].join(", ")), elsewhere);
    // Without a share it does not matter, and what is nowhere is refused.
    assert_eq!(reason(&[subset("v1", 1), subset("v2", 0)].join(", ")), "MeshTCPRoute");
    assert_eq!(reason(&[subset("v1", 1), subset("v3", 1)].join(", ")), "MeshTCPRoute");
}

#[test]
fn a_policy_of_another_zone_does_not_apply_in_later_versions() {
    let web = WEB.replace("name: web\n", "name: web\nlabels: {kuma.io/origin: zone, kuma.io/zone: east}\n");
    let applies = |labels: &str, options: Options| {
        let policy = route("r", MESH, &to("other")).replace("spec:", &format!("labels: {{{labels}}}\nspec:"));
        first_backend(&resolve_with(&[&web, &policy], options)) == "other"
    };
    for options in [LATEST, V3] {
        assert!(!applies("kuma.io/origin: zone, kuma.io/zone: west", options.clone()));
        assert!(applies("kuma.io/origin: zone, kuma.io/zone: east", options.clone()));
        assert!(applies("kuma.io/origin: zone", options.clone()));
        assert!(applies("kuma.io/origin: global", options.clone()));
        // That of a producer is meant for all that consume.
        assert!(applies(
            "kuma.io/origin: zone, kuma.io/zone: west, kuma.io/policy-role: producer",
            options.clone()
        ));
    }
    assert!(applies("kuma.io/origin: zone, kuma.io/zone: west", Options::default()));
}

#[test]
fn a_mesh_service_of_another_zone_is_left_to_the_proxy() {
    let service = "type: MeshService\nname: far\nlabels: {kuma.io/origin: global, kuma.io/zone: west, app: far}\n\
        spec: {selector: {dataplaneTags: {kuma.io/service: db}}, ports: [{port: 1, targetPort: 5432}]}";
    let policy = route("r", MESH, "{kind: MeshService, labels: {app: far}, port: 1}");
    let routes = resolve_with(&[WEB, service, &db(&[(1, "")]), &policy], LATEST);
    assert_eq!(routes.routes[0].destination.reason, "MeshService far is of another zone");
}

/// As a global control plane has them.
#[test]
fn a_mesh_service_that_is_another_zones_own_is_left_to_the_proxy() {
    let web = WEB.replace("name: web\n", "name: web\nlabels: {kuma.io/origin: zone, kuma.io/zone: east}\n");
    let reason = |zone: &str| {
        let service = format!(
            "type: MeshService\nname: db\nlabels: {{kuma.io/origin: zone, kuma.io/zone: {zone}, app: db}}\n\
             spec: {{selector: {{dataplaneTags: {{kuma.io/service: db}}}}, ports: [{{port: 1, targetPort: 5432}}]}}"
        );
        let policy = route("r", MESH, "{kind: MeshService, labels: {app: db}, port: 1}");
        let policy = policy.replace("spec:", "labels: {kuma.io/origin: global}\nspec:");
        let routes = resolve_with(&[&web, &service, &db(&[(1, "")]), &policy], LATEST);
        routes.routes[0].destination.reason.clone()
    };
    assert_eq!(reason("west"), "MeshService db is of another zone");
    assert_eq!(reason("east"), "MeshTCPRoute");
}

#[test]
fn a_name_means_a_service_in_the_zone_of_the_policy() {
    let service = "type: MeshService\nname: pg\nlabels: {kuma.io/zone: east, kuma.io/origin: zone}\n\
        spec: {selector: {dataplaneTags: {kuma.io/service: db}}, ports: [{port: 1, targetPort: 5432}]}";
    let leads = |labels: &str| {
        let policy = route("r", MESH, "{kind: MeshService, name: pg, port: 1}");
        let policy = policy.replace("spec:", &format!("labels: {{{labels}}}\nspec:"));
        let routes = resolve_with(&[WEB, service, &db(&[(1, "")]), &policy], LATEST);
        backends(&routes).into_iter().map(|(_, _, endpoints)| endpoints).collect::<Vec<_>>()
    };
    assert_eq!(leads("kuma.io/origin: zone, kuma.io/zone: east"), [["10.0.1.1:5432"]]);
    assert_eq!(leads("x: y"), [["10.0.1.1:5432"]]);
    assert_eq!(leads("kuma.io/origin: zone, kuma.io/zone: west").len(), 0);
    assert_eq!(leads("kuma.io/origin: global").len(), 0);
}
