//! The same asked of a real control plane and of ours.

use std::{env, path::Path};

use serde_json::Value;

use super::super::{ControlPlane, Options, Real, Server, Version, client::Client};

/// Where they are, separated as in a PATH.
const VARIABLE: &str = "TCPROUTE_TEST_KUMA_CP";

const RESOURCES: &str = "
type: Mesh
name: b
---
{type: Dataplane, name: web-1, networking: {address: 10.0.0.1, inbound: [{port: 80, tags: {kuma.io/service: web}}]}}
---
{type: Dataplane, name: db-2, networking: {address: 10.0.0.2, inbound: [{port: 80, tags: {kuma.io/service: db, v: '2'}}]}}
---
{type: Dataplane, mesh: b, name: db-1, networking: {address: 10.0.0.3, inbound: [{port: 80, tags: {kuma.io/service: db}}]}}
---
{type: Dataplane, name: gw, networking: {address: 10.0.0.4, gateway: {type: DELEGATED, tags: {kuma.io/service: gw}}}}
---
type: MeshTCPRoute
name: split
spec:
  targetRef: {kind: MeshService, name: web}
  to:
  - targetRef: {kind: MeshService, name: db}
    rules:
    - default: {backendRefs: [{kind: MeshService, name: db, weight: 1}]}
---
{type: ExternalService, name: mail, tags: {kuma.io/service: mail, kuma.io/protocol: tcp}, networking: {address: 'a.example:465'}}
";

const PATHS: &[&str] = &[
    "/meshes",
    "/meshes/b",
    "/meshes/nowhere",
    "/zones",
    "/zoneegresses",
    "/zone-ingresses",
    "/dataplanes",
    "/dataplanes?size=3",
    "/dataplanes?size=3&offset=3",
    "/dataplanes?offset=1",
    "/dataplanes?name=b",
    "/meshes/b/dataplanes",
    "/meshes/default/dataplanes?size=",
    "/meshes/nowhere/dataplanes?size=x",
    "/meshes/nowhere/dataplanes?offset=x",
    "/meshes/nowhere/dataplanes/x",
    "/meshes/default/dataplanes/gw",
    "/meshtcproutes",
    "/meshes/default/meshtcproutes",
    "/meshes/default/meshtcproutes/split",
    "/meshes/default/external-services",
    "/traffic-routes",
    "/traffic-permissions",
    "/meshes/default/meshservices",
    "/meshes/default/meshidentities",
    "/meshes/default/meshtlses",
    "/meshes/default/zones",
    "/dataplanes/gw",
    "/bogus",
    "/meshes/",
    "/meshes/default/dataplanes/",
];

/// What stands for `NETWORKING` in what is put.
const NETWORKING: &str =
    r#""networking": {"address": "10.0.0.9", "inbound": [{"port": 80, "tags": {"kuma.io/service": "x"}}]}"#;

/// What each refuses or takes, and in which words.
const CHANGES: &[(&str, &str, &str)] = &[
    ("PUT", "/meshes/default/meshtcproutes/x", ""),
    ("PUT", "/meshes/b/dataplanes/x", r#"{"type": "Dataplane", "mesh": "b", "name": "x", NETWORKING}"#),
    ("PUT", "/meshes/b/dataplanes/x", r#"{"type": "Dataplane", "mesh": "c", "name": "x", NETWORKING}"#),
    ("PUT", "/meshes/b/dataplanes/y", r#"{"type": "Dataplane", "mesh": "b", "name": "x", NETWORKING}"#),
    ("PUT", "/meshes/a/dataplanes/x", r#"{"type": "Dataplane", "mesh": "a", "name": "x", NETWORKING}"#),
    ("GET", "/dataplanes", ""),
    ("PUT", "/meshes/d", r#"{"type": "Mesh", "name": "d"}"#),
    ("PUT", "/meshes/d", r#"{"type": "Mesh", "name": "d"}"#),
    ("PUT", "/meshes/e", r#"{"type": "Mesh", "name": "d"}"#),
    ("PUT", "/meshes/default", r#"{"type": "Mesh", "name": "default"}"#),
    ("DELETE", "/meshes/b", ""),
    ("DELETE", "/meshes/d", ""),
    ("DELETE", "/meshes/d", ""),
    ("DELETE", "/meshes/d/dataplanes/x", ""),
    ("DELETE", "/meshes/default/dataplanes/x", ""),
    ("DELETE", "/meshes/default/meshtcproutes/split", ""),
    ("DELETE", "/meshes/default/meshtcproutes", ""),
    ("DELETE", "/meshes", ""),
    ("GET", "/meshes/default/meshtcproutes", ""),
    ("GET", "/meshes", ""),
];

#[test]
fn ours_answers_as_a_real_one() {
    let Some(binaries) = env::var_os(VARIABLE).filter(|it| !it.is_empty()) else {
        println!("SKIPPED ours_answers_as_a_real_one: {VARIABLE} names no binaries of kuma-cp");
        return;
    };
    for binary in env::split_paths(&binaries) {
        compare(&binary);
    }
}

fn compare(binary: &Path) {
    let real = Real::start(binary).unwrap_or_else(|error| panic!("{error:#}"));
    let ours = Server::start(Options::of(Version::nearest(real.version())));
    for control_plane in [&real as &dyn ControlPlane, &ours] {
        control_plane.put_yaml(RESOURCES);
        control_plane.put_yaml("{type: Mesh, name: c}");
        control_plane.delete("Mesh", "", "c");
    }
    let mut differences = Vec::new();
    let reading = PATHS.iter().map(|&path| ("GET", path, ""));
    for (method, path, body) in reading.chain(CHANGES.iter().copied()) {
        let [expected, told] = [real.address(), ours.address()].map(|address| {
            // Another name than that by which it is reached, so that `next` is the same.
            let client = Client { headers: vec![("host", "cp.example".to_owned())], ..Client::new(address) };
            let reply = client.ask(method, path, &body.replace("NETWORKING", NETWORKING));
            let reply = reply.unwrap_or_else(|error| panic!("{method} {path}: {error:#}"));
            let body =
                serde_json::from_str(&reply.body).map_or_else(|_| Value::from(reply.body.as_str()), timeless);
            (reply.status(), body)
        });
        if expected != told {
            differences.push(format!(
                "{method} {path} {body}\n  real {} {}\n  ours {} {}",
                expected.0, expected.1, told.0, told.1
            ));
        }
    }
    assert!(differences.is_empty(), "{}:\n{}", real.version(), differences.join("\n"));
}

/// Without what differs from run to run.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|key, _| key != "creationTime" && key != "modificationTime");
            fields.values_mut().for_each(|it| *it = timeless(it.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|it| *it = timeless(it.take())),
        _ => {}
    }
    value
}
