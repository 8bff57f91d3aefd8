//! What the endpoints of a service are.

use super::*;

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
fn an_outbound_makes_a_service_exist() {
    let routes = resolve(&[WEB]);
    assert_eq!(
        routes.warnings(),
        ["the route of db leads to db, which has no endpoint: its share is refused"]
    );
}

#[test]
fn the_advertised_address_then_the_inbounds_then_the_dataplanes() {
    let advertised = db(&[(1, "")]).replace("  address", "  advertisedAddress: 10.9.9.9\n  address");
    let own =
        advertised.replace("name: db-1\n", "name: db-2\n").replace("- {port", "- {address: 10.8.8.8, port");
    let routes = resolve(&[WEB, &advertised, &own]);
    assert_eq!(backends(&routes)[0].2, ["10.9.9.9:5432"]);
    let own = own.replace("  advertisedAddress: 10.9.9.9\n", "");
    let routes = resolve(&[WEB, &db(&[(1, "")]), &own]);
    assert_eq!(backends(&routes)[0].2, ["10.0.1.1:5432", "10.8.8.8:5432"]);
}

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
fn ipv6_endpoints_are_left_out_for_ipv4_dials() {
    let six = db(&[(1, ""), (2, "")]).replace("10.0.1.2", "'2001:db8::2'");
    let routes = resolve(&[WEB, &six]);
    assert_eq!(backends(&routes)[0].2, ["10.0.1.1:5432"]);
    assert!(routes.warnings()[0].contains("IPv6"), "{:?}", routes.warnings());
    let web6 = WEB.replace("{port: 1000,", "{port: 1000, address: 'fd00::1',");
    assert_eq!(backends(&resolve(&[&web6, &six]))[0].2, ["10.0.1.1:5432", "[2001:db8::2]:5432"]);
}

#[test]
fn the_port_is_that_of_the_inbound_and_not_of_the_workload() {
    let behind = db(&[(1, "")]).replace("- {port", "- {servicePort: 9999, serviceAddress: 127.0.0.1, port");
    assert_eq!(backends(&resolve(&[WEB, &behind]))[0].2, ["10.0.1.1:5432"]);
}

#[test]
fn a_service_is_outside_the_mesh_or_within_and_never_both() {
    let outside = EXTERNAL.replace("service: outside", "service: db").replace("db.example.com", "192.0.2.9");
    let leads = |within: &str, options: Options| {
        backends(&resolve_with(&[WEB, within, &outside], options))[0].2.clone()
    };
    let ready = db(&[(1, "")]);
    assert_eq!(leads(&ready, Options::default()), ["192.0.2.9:5432"]);
    assert_eq!(leads(&ready, LATEST), ["10.0.1.1:5432"]);
    let unready = ready.replace("- {port", "- {health: {ready: false}, port");
    assert_eq!(leads(&unready, LATEST), ["192.0.2.9:5432"]);
    assert_eq!(leads(&ready, V3), ["10.0.1.1:5432"]);
    assert_eq!(leads(&unready, V3), Vec::<String>::new());
}

#[test]
fn tags_do_not_choose_among_external_services() {
    let outside = [("a", "192.0.2.8", "v1"), ("b", "192.0.2.9", "v2")].map(|(name, address, version)| {
        format!("type: ExternalService\nname: {name}\ntags: {{kuma.io/service: out, version: {version}}}\nnetworking: {{address: '{address}:1'}}\n")
    });
    let policy = route("r", MESH, "{kind: MeshServiceSubset, name: out, tags: {version: v1}}");
    for options in [Options::default(), LATEST] {
        let routes = resolve_with(&[WEB, &outside[0], &outside[1], &policy], options);
        assert_eq!(backends(&routes)[0].2, ["192.0.2.8:1", "192.0.2.9:1"]);
    }
}

#[test]
fn the_address_of_a_dataplane_may_be_a_name() {
    let named = db(&[(1, "")]).replace("10.0.1.1", "db.example.com");
    assert_eq!(backends(&resolve(&[WEB, &named]))[0].2, ["192.0.2.7:5432"]);
}

#[test]
fn the_state_of_an_inbound_counts_in_later_versions() {
    let ignored = db(&[(1, "")]).replace("- {port", "- {state: Ignored, port");
    assert_eq!(backends(&resolve(&[WEB, &ignored]))[0].2, ["10.0.1.1:5432"]);
    assert_eq!(backends(&resolve_with(&[WEB, &ignored], LATEST))[0].2, Vec::<String>::new());
}

#[test]
fn further_tags_of_an_outbound_choose_where_no_policy_does() {
    let web = WEB.replace("{kuma.io/service: db}", "{kuma.io/service: db, v: a}");
    let texts = [web, db(&[(1, ", v: a"), (2, ", v: b")]), route("r", MESH, &to("db"))];
    for options in [Options::default(), LATEST] {
        assert_eq!(backends(&resolve_with(&[&texts[0], &texts[1]], options.clone()))[0].2, ["10.0.1.1:5432"]);
        let routes = resolve_with(&[&texts[0], &texts[1], &texts[2]], options);
        assert_eq!(backends(&routes)[0].2, ["10.0.1.1:5432", "10.0.1.2:5432"]);
    }
}

#[test]
fn an_endpoint_that_is_there_twice_counts_once() {
    let twin = db(&[(1, "")]).replace("db-1", "twin");
    assert_eq!(backends(&resolve(&[WEB, &db(&[(1, "")]), &twin]))[0].2, ["10.0.1.1:5432"]);
}
