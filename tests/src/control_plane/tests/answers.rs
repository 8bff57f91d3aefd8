//! Answers as text, for what is not recorded or stands in a certain order.

use serde_json::json;

use super::super::{
    Options, Request, Version,
    answer::{Answer, answer},
    state::State,
};

fn state(version: Version) -> State {
    let mut state = State::new(Options::of(version));
    state.put(&json!({"type": "Dataplane", "name": "web", "networking": {
        "address": "10.0.0.1", "inbound": [{"port": 80, "tags": {"kuma.io/service": "web"}}]}}));
    state
}

fn get(state: &mut State, path: &str) -> Answer {
    answer(&mut state.store, &state.options, &Request::get(path, "cp:5681"), &[])
}

fn told(state: &mut State, path: &str) -> (u16, String) {
    let answer = get(state, path);
    (answer.status, answer.body())
}

#[test]
fn fields_stand_in_kumas_order() {
    let path = "/meshes/default/dataplanes/web";
    let (_, old) = told(&mut state(Version::V2_4), path);
    let created = r#""creationTime":"2026-01-01T00:00:"#;
    assert!(
        old.starts_with(&format!(r#"{{"type":"Dataplane","mesh":"default","name":"web",{created}"#)),
        "{old}"
    );
    assert!(old.ends_with(r#"Z","networking":{"address":"10.0.0.1","inbound":[{"port":80,"tags":{"kuma.io/service":"web"}}]}}"#), "{old}");

    let (_, new) = told(&mut state(Version::V2_14), path);
    let labels = r#"Z","labels":{"kuma.io/env":"universal","kuma.io/mesh":"default","kuma.io/origin":"zone","kuma.io/proxy-type":"sidecar","kuma.io/zone":"default"},"kri":"kri_dp_default_default__web_","networking":{"#;
    assert!(new.contains(labels), "{new}");
    assert!(new.contains(r#""kuma.io/zone":"default"}}]}}"#), "{new}");

    let (_, mesh) = told(&mut state(Version::V2_14), "/meshes/default");
    assert!(mesh.starts_with(&format!(r#"{{"type":"Mesh","name":"default",{created}"#)), "{mesh}");
    assert!(mesh.ends_with(r#"Z","kri":"kri_m____default_"}"#), "{mesh}");
}

#[test]
fn labels_that_were_given_stay() {
    let mut state = state(Version::V2_14);
    state.put(&json!({"type": "MeshService", "name": "db", "labels": {"team": "a", "kuma.io/zone": "east"}}));
    let (_, text) = told(&mut state, "/meshes/default/meshservices/db");
    assert!(text.contains(r#""kuma.io/zone":"east","team":"a"}"#), "{text}");
    assert!(text.contains(r#""kri":"kri_msvc_default_east__db_""#), "{text}");
}

#[test]
fn pages_end_and_lead_on() {
    for version in Version::ALL {
        let mut state = state(version);
        for name in ["b", "a"] {
            state.put(&json!({"type": "MeshTCPRoute", "name": name, "spec": {}}));
        }
        let (_, text) = told(&mut state, "/meshes/default/meshtcproutes?size=1");
        let next = r#""next":"http://cp:5681/meshes/default/meshtcproutes?offset=1&size=1"}"#;
        assert!(text.starts_with(r#"{"total":2,"items":[{"#) && text.ends_with(next), "{text}");
        let past = told(&mut state, "/meshes/default/meshtcproutes?offset=7");
        assert_eq!(past, (200, r#"{"total":2,"items":[],"next":null}"#.into()));
        state.options.next = Some("https://kuma.example".into());
        let (_, text) = told(&mut state, "/meshtcproutes?size=1");
        assert!(text.ends_with(r#""next":"https://kuma.example/meshtcproutes?offset=1&size=1"}"#), "{text}");
    }
}

#[test]
fn a_list_has_a_hundred_items_if_nothing_is_said() {
    let mut state = state(Version::V2_4);
    for at in 0..101 {
        state.put(&json!({"type": "MeshTCPRoute", "name": format!("r-{at:03}"), "spec": {}}));
    }
    let (_, text) = told(&mut state, "/meshtcproutes");
    assert!(text.contains("r-099") && !text.contains("r-100"), "{text}");
    assert!(text.ends_with(r#""next":"http://cp:5681/meshtcproutes?offset=100"}"#), "{text}");
}

#[test]
fn what_is_wrong_is_refused_as_each_release_words_it() {
    let list = "/meshes/default/dataplanes";
    let check = |version, path: &str, status, part: &str| {
        let (told, text) = told(&mut state(version), path);
        assert!(told == status && text.contains(part), "{path}: {told} {text}");
    };
    for version in Version::ALL {
        check(
            version,
            "/meshes/nowhere",
            404,
            r#""title":"Could not retrieve a resource","detail":"Not found""#,
        );
        check(version, "/meshes/default/bogus", 404, "404: Page Not Found");
        check(version, "/meshes/default/externalservices", 404, "404: Page Not Found");
        check(
            version,
            &format!("{list}?size=1001"),
            400,
            "nvalid page size of 1001. Maximum page size is 1000",
        );
        check(version, "/meshes/default/secrets", 403, r#"cannot access the resource of type \"Secret\"""#);
    }
    check(Version::V2_4, "/meshes/default/meshservices", 404, "404: Page Not Found");
    check(Version::V2_14, "/meshes/default/meshservices", 200, r#""total":0"#);
    check(Version::V2_4, "/meshes/nowhere/dataplanes", 200, r#"{"total":0,"items":[],"next":null}"#);
    check(Version::V2_14, "/meshes/nowhere/dataplanes", 404, r#""title":"Failed to retrieve Mesh""#);
    check(Version::V2_4, &format!("{list}?size=0"), 200, r#""total":1"#);
    check(Version::V2_14, &format!("{list}?size=0"), 400, "must be greater than 0");
    check(Version::V2_4, &format!("{list}?offset=x"), 400, r#""reason":"Invalid format""#);
    check(Version::V2_14, &format!("{list}?offset=x"), 400, "invalid: invalid offset: strconv.Atoi");
}

#[test]
fn tokens_are_looked_at() {
    for version in Version::ALL {
        let mut state = state(version);
        let mut ask = |options: &Options, path: &str, token: Option<&str>| {
            let authorization = token.map(|token| format!("Bearer {token}"));
            let request = Request { authorization, ..Request::get(path, "cp") };
            answer(&mut state.store, options, &request, &[]).status
        };
        let mut options = Options { token: Some("good".into()), ..Options::of(version) };
        assert_eq!(ask(&options, "/dataplanes", None), 200);
        assert_eq!(ask(&options, "/dataplanes", Some("good")), 200);
        assert_eq!(ask(&options, "/dataplanes", Some("bad")), 401);
        assert_eq!(ask(&options, "/bogus", Some("bad")), 401);
        assert_eq!(ask(&options, "/", Some("bad")), if version == Version::V2_4 { 401 } else { 200 });
        options.requires_token = true;
        for path in ["/dataplanes", "/meshes", "/meshes/default", "/meshes/default/dataplanes"] {
            assert_eq!(ask(&options, path, None), 403, "{path}");
            assert_eq!(ask(&options, path, Some("good")), 200, "{path}");
        }
        assert_eq!(ask(&options, "/", None), 200);
        options.config_is_open = false;
        assert_eq!(ask(&options, "/config", None), 403);
        assert_eq!(ask(&options, "/config", Some("good")), 200);
    }
}

#[test]
fn the_configuration_tells_what_it_is() {
    let mut state = state(Version::V2_4);
    assert!(told(&mut state, "/config").1.starts_with(r#"{"environment":"universal","mode":"standalone","#));
    state.options = Options { is_global: true, is_on_kubernetes: true, ..Options::of(Version::V2_14) };
    assert!(told(&mut state, "/config").1.starts_with(r#"{"environment":"kubernetes","mode":"global","#));
}

#[test]
fn zones_are_as_many_as_a_test_wants() {
    let zones = |version, zones, is_global| {
        let mut state = State::new(Options { is_global, zones, ..Options::of(version) });
        let (_, text) = told(&mut state, "/zones");
        text.matches(r#""type":"Zone""#).count()
    };
    assert_eq!(zones(Version::V2_4, None, false), 0);
    assert_eq!(zones(Version::V2_14, None, false), 1);
    assert_eq!(zones(Version::V2_14, None, true), 0);
    assert_eq!(zones(Version::V2_4, Some(3), true), 3);
    assert_eq!(zones(Version::V2_14, Some(2), false), 2);
}

#[test]
fn a_mesh_goes_with_what_is_in_it() {
    let mut state = state(Version::V2_14);
    state.put(&json!({"type": "Mesh", "name": "b"}));
    state.put(&json!({"type": "MeshTCPRoute", "mesh": "b", "name": "r", "spec": {}}));
    assert_eq!(state.write("DELETE", "/meshes/b", "").status, 200);
    assert_eq!(told(&mut state, "/meshtcproutes").1, r#"{"total":0,"items":[],"next":null}"#);
    assert_eq!(told(&mut state, "/meshes/b").0, 404);
}
