//! TrafficRoutes, which hold where no MeshTCPRoute does.

use super::*;

fn traffic(name: &str, from: &str, to: &str, conf: &str) -> String {
    format!(
        "type: TrafficRoute\nname: {name}\nsources: [{{match: {{kuma.io/service: {from}}}}}]\n\
         destinations: [{{match: {{kuma.io/service: {to}}}}}]\nconf: {conf}\n"
    )
}

const PINNED: &str = "{destination: {kuma.io/service: db, v: a}}";

fn is_left(texts: &[&str], options: Options) -> bool {
    let routes = resolve_with(&[&[WEB, &db(&[(1, ", v: a")])], texts].concat(), options);
    let destination = &routes.routes[0].destination;
    let left = destination.action == Action::Passthrough;
    if left {
        assert!(routes.warnings()[0].contains("TrafficRoute"), "{:?}", routes.warnings());
    }
    left
}

#[test]
fn one_that_leads_elsewhere_is_left_to_the_proxy_and_told() {
    for options in [Options::default(), LATEST] {
        assert!(is_left(&[&traffic("pin", "web", "db", PINNED)], options.clone()));
        let split = "{split: [{weight: 9, destination: {kuma.io/service: db}}, {weight: 1, destination: {kuma.io/service: next}}]}";
        assert!(is_left(&[&traffic("split", "'*'", "'*'", split)], options.clone()));
        for itself in ["{destination: {kuma.io/service: '*'}}", "{destination: {kuma.io/service: db}}"] {
            assert!(
                !is_left(&[&traffic("route-all-default", "'*'", "'*'", itself)], options.clone()),
                "{itself}"
            );
        }
        assert!(!is_left(&[&traffic("others", "api", "db", PINNED)], options.clone()));
        assert!(!is_left(&[&traffic("others", "web", "cache", PINNED)], options.clone()));
    }
    assert!(!is_left(&[&traffic("pin", "web", "db", PINNED)], V3));
}

#[test]
fn the_most_specific_one_holds() {
    let itself = "{destination: {kuma.io/service: '*'}}";
    let mine = traffic("mine", "web", "db", itself);
    assert!(!is_left(&[&traffic("all", "'*'", "'*'", PINNED), &mine], Options::default()));
    assert!(is_left(&[&traffic("all", "'*'", "'*'", itself), &traffic("mine", "web", "db", PINNED)], LATEST));
}

#[test]
fn a_mesh_tcp_route_takes_its_place_from_2_6_on_for_all_destinations() {
    let pin = traffic("pin", "web", "db", PINNED);
    for options in [Options::default(), LATEST] {
        assert!(!is_left(&[&pin, &route("r", MESH, &to("db"))], options));
    }
    let of_another =
        route("r", MESH, &to("x")).replace("kind: MeshService, name: db}", "kind: MeshService, name: y}");
    assert!(is_left(&[&pin, &of_another], Options::default()));
    assert!(!is_left(&[&pin, &of_another], LATEST));
}
