//! `resolve` and `diff`: what they print, without any privilege.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    io::Read,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tcproute_tests::{is_root, mesh::Mesh, tcproute::binary};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

fn tcproute(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&text(&tcproute(&[arguments, &["--output", "json"]].concat()))).unwrap()
}

fn resolve<'a>(resources: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    [&["resolve", "--resources", resources.to_str().unwrap()], more].concat()
}

fn address(last: u8, port: u16) -> SocketAddr {
    ([10, 0, 0, last], port).into()
}

fn split(weights: &[(&str, u32)]) -> Mesh {
    let mut mesh = Mesh::new();
    mesh.outbound("db", "127.0.0.1:5432".parse().unwrap());
    mesh.endpoint("db", "a", address(1, 5432)).endpoint("db", "b", address(2, 5432)).split("db", weights);
    mesh
}

#[test]
fn the_split_example_resolves_to_the_documented_json() {
    let example = example("split-universal.yaml");
    let routes = json(&resolve(&example, &["--dataplane", "frontend-1"]));
    let service = "backend_kuma-demo_svc_3001";
    let backend = |version: &str, weight: u32, endpoints: &[&str]| {
        json!({"kind": "MeshServiceSubset", "name": service, "tags": {"version": version}, "weight": weight,
               "share": f64::from(weight) / 100.0, "endpoints": endpoints})
    };
    let route = json!({"service": service, "address": "127.0.0.1", "port": 10001, "protocol": "tcp",
        "action": "route", "reason": "MeshTCPRoute", "policies": ["tcp-route-1"],
        "backends": [backend("1.0", 90, &["127.0.1.1:3001", "127.0.1.2:3001"]), backend("2.0", 10, &["127.0.2.1:3001"])]});
    assert_eq!(
        routes,
        json!({"mesh": "default", "dataplane": "frontend-1", "compat": "2.4", "routes": [route]})
    );
}

#[test]
fn all_formats_say_the_same_and_do_not_vary() {
    let example = example("split-universal.yaml");
    let mesh = split(&[("a", 1), ("b", 3)]);
    let mesh = &mesh.file();
    for format in ["table", "json", "yaml"] {
        let print = |paths: [&Path; 2]| {
            let paths = paths.map(|path| path.to_str().unwrap());
            text(&tcproute(&["resolve", "--all", "--output", format, "--resources", paths[0], paths[1]]))
        };
        assert_eq!(print([&example, mesh]), print([mesh, &example]), "{format}");
    }
    let arguments = resolve(mesh, &["--dataplane", "web"]);
    let yaml = text(&tcproute(&[&arguments[..], &["--output", "yaml"]].concat()));
    for part in ["dataplane: web", "weight: 3", "share: 0.75", "- 10.0.0.2:5432"] {
        assert!(yaml.contains(part), "{part} is not in {yaml}");
    }
    let table = text(&tcproute(&arguments));
    for part in ["policies in the order of 2.4", "127.0.0.1:5432", "75.0 %", "10.0.0.2:5432", "split-db"] {
        assert!(table.contains(part), "{part} is not in {table}");
    }
}

#[test]
fn all_prints_every_dataplane_of_every_mesh() {
    let mut mesh = split(&[("a", 1)]);
    mesh.document("type: Dataplane\nname: far\nmesh: staging\nnetworking: {address: 10.9.9.9, inbound: [{port: 80, tags: {kuma.io/service: far}}]}\n");
    let file = mesh.file();
    let names = |more: &[&str]| {
        let all = json(&resolve(&file, &[&["--all"], more].concat()));
        let name = |routes: &Value| format!("{} {}", routes["mesh"], routes["dataplane"]).replace('"', "");
        all.as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["default endpoint-1", "default endpoint-2", "default web", "staging far"]);
    assert_eq!(names(&["--mesh", "staging"]), ["staging far"]);
}

#[test]
fn the_order_is_an_option() {
    let mut mesh = Mesh::new();
    mesh.outbound("db", "127.0.0.1:5432".parse().unwrap());
    for name in ["aaa", "zzz"] {
        mesh.document(&format!(
            "type: MeshTCPRoute\nname: {name}\nspec: {{targetRef: {{kind: Mesh}}, to: [{{targetRef: {{kind: MeshService, name: db}}, \
             rules: [{{default: {{backendRefs: [{{kind: MeshService, name: {name}}}]}}}}]}}]}}\n"
        ));
    }
    let file = mesh.file();
    for (compat, strongest) in [("2.4", "zzz"), ("latest", "aaa"), ("3.0", "aaa")] {
        let routes = json(&resolve(&file, &["--dataplane", "web", "--compat", compat]));
        assert_eq!(
            (&routes["compat"], &routes["routes"][0]["backends"][0]["name"]),
            (&json!(compat), &json!(strongest))
        );
    }
    let output = tcproute(&resolve(&file, &["--dataplane", "web", "--compat", "3"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("must be 2.4, latest or 3.0"));
}

#[test]
fn explain_names_every_policy() {
    let mut mesh = split(&[("a", 1)]);
    mesh.document("type: MeshTCPRoute\nname: weak\nspec: {targetRef: {kind: Mesh}, to: [{targetRef: {kind: MeshService, name: db}}]}\n");
    mesh.document("type: MeshTCPRoute\nname: far\nmesh: staging\nspec: {targetRef: {kind: Mesh}}\n");
    let file = mesh.file();
    let arguments = resolve(&file, &["--dataplane", "web", "--explain", "db"]);
    let explained = json(&arguments);
    let policies = explained[0]["policies"].as_array().unwrap();
    let verdicts: Vec<String> = policies
        .iter()
        .map(|policy| format!("{} {}", policy["name"], policy["verdict"]).replace('"', ""))
        .collect();
    assert_eq!(verdicts, ["split-db wins", "weak overridden", "far not-concerned"]);
    let table = text(&tcproute(&arguments));
    assert!(table.contains("split-db is stronger by the kind of its targetRef"), "{table}");

    let output = tcproute(&resolve(&file, &["--dataplane", "web", "--explain", "bd"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no outbound to a service \"bd\""));
}

#[test]
fn diff_shows_the_connections_that_would_go_elsewhere() {
    let (old, same, new) =
        (split(&[("a", 90), ("b", 10)]), split(&[("a", 9), ("b", 1)]), split(&[("a", 80), ("b", 20)]));
    let (old, same, new) = (old.file(), same.file(), new.file());
    let diff = |new: &Path| ["diff", old.to_str().unwrap(), new.to_str().unwrap()].map(str::to_owned);
    let run = |arguments: &[String], more: &[&str]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        text(&tcproute(&arguments))
    };
    assert_eq!(run(&diff(&same), &[]), "no connection goes elsewhere\n");
    let table = run(&diff(&new), &[]);
    for part in ["Dataplane web of mesh default", "db at 127.0.0.1:5432: 10.0 %", "10.0.0.2:5432", "20.0 %"] {
        assert!(table.contains(part), "{part} is not in {table}");
    }
    let json: Value = serde_json::from_str(&run(&diff(&new), &["--output", "json"])).unwrap();
    let shifts = json[0]["routes"][0]["shifts"].as_array().unwrap();
    assert_eq!(shifts[1], json!({"to": "10.0.0.2:5432", "before": 0.1, "after": 0.2}));

    // What is wrong with either is reported in one go.
    let broken = old.with_file_name("broken.yaml");
    fs::write(&broken, "type: Mehs\n").unwrap();
    let missing = old.with_file_name("missing.yaml");
    let output = tcproute(&["diff", broken.to_str().unwrap(), missing.to_str().unwrap()]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("broken.yaml:1:7") && stderr.contains("missing.yaml"), "{stderr}");
    let output = tcproute(
        &[&["diff", old.to_str().unwrap(), new.to_str().unwrap()][..], &["--dataplane", "wbe"]].concat(),
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn neither_privilege_nor_a_dataplane_that_is_missing_goes_wrong() {
    let mesh = split(&[("a", 1)]);
    let file = mesh.file();
    let output = tcproute(&resolve(&file, &["--dataplane", "wbe"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean \"web\"?"));
    if !is_root("neither_privilege_nor_a_dataplane_that_is_missing_goes_wrong (as another user)") {
        return;
    }
    // As a user who owns nothing, with no capability.
    let copy = tempfile::tempdir().unwrap();
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (program, resources) = (copy.path().join("tcproute"), copy.path().join("mesh.yaml"));
    fs::copy(binary(), &program).unwrap();
    fs::copy(&file, &resources).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"])
        .arg(&program)
        .args(resolve(&resources, &["--dataplane", "web"]))
        .output()
        .unwrap();
    assert!(text(&output).contains("10.0.0.1:5432"));
}

#[test]
fn who_closes_the_output_early_has_seen_enough() {
    let mut mesh = Mesh::new();
    for i in 0..2000 {
        mesh.outbound(&format!("s{i}"), address(1, 1000 + i));
    }
    let file = mesh.file();
    let mut child = Command::new(binary())
        .args(resolve(&file, &["--dataplane", "web"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr)), (Some(0), "".into()));
}

/// Of each destination: what nobody enforces there, and what is kept at the proxy where that is asked.
#[test]
fn what_a_bypass_gives_up_is_told_and_kept() {
    let mut mesh = split(&[("a", 1)]);
    mesh.document(
        "type: MeshTimeout\nname: short\nspec:\n  targetRef: {kind: Mesh}\n  to:\n  - targetRef: {kind: MeshService, \
         name: db}\n    default: {connectionTimeout: 1s}\n",
    );
    let file = mesh.file();
    let web = ["--dataplane", "web"];
    let route = json(&resolve(&file, &web))["routes"][0].clone();
    assert_eq!((&route["action"], &route["notEnforced"]), (&json!("route"), &json!(["MeshTimeout short"])));
    let table = text(&tcproute(&resolve(&file, &web)));
    assert!(table.contains("gives up MeshTimeout short; its servers accept plaintext (no mTLS)"), "{table}");
    let kept = [&web[..], &["--sidecar-keep", "MeshTimeout,MeshRetry"]].concat();
    let route = json(&resolve(&file, &kept))["routes"][0].clone();
    assert_eq!(route["action"], "passthrough");
    assert_eq!(route["reason"], "MeshTimeout short is kept at the proxy (--sidecar-keep)");
    let misspelt = [&web[..], &["--sidecar-keep", "MeshTimeouts"]].concat();
    let refused = tcproute(&resolve(&file, &misspelt));
    assert_eq!(refused.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("did you mean \"MeshTimeout\"?"), "{stderr}");
}

#[test]
fn output_is_asked_for_as_fingers_know_it() {
    let example = example("split-universal.yaml");
    let run =
        |more: &[&str]| text(&tcproute(&resolve(&example, &[&["--dataplane", "frontend-1"], more].concat())));
    assert_eq!(run(&["-o", "name"]), "service/backend_kuma-demo_svc_3001\n");
    let endpoints = run(&["-o", "jsonpath={.routes[*].backends[*].endpoints[*]}"]);
    assert_eq!(endpoints, "127.0.1.1:3001\n127.0.1.2:3001\n127.0.2.1:3001\n");
    assert_eq!(run(&["-o", "jsonpath=$.routes[?@.port == 10001].service"]), "backend_kuma-demo_svc_3001\n");
    assert_eq!(run(&["-o", "jsonpath=$.nothing"]), "");
    let (with, without) = (run(&[]), run(&["--no-headers"]));
    assert!(with.contains("SERVICE  ") && !without.contains("SERVICE  "), "{without}");
    assert_eq!(with.lines().count(), without.lines().count() + 1);

    let mut many = Mesh::new();
    many.outbound("db", "127.0.0.1:5432".parse().unwrap());
    for last in 1..=5 {
        many.endpoint("db", "a", address(last, 5432));
    }
    let file = many.file();
    let run = |format: &str| text(&tcproute(&resolve(&file, &["--dataplane", "web", "-o", format])));
    assert!(run("table").contains(" and 2 more") && !run("table").contains("10.0.0.5"));
    assert!(run("wide").contains("10.0.0.5:5432"));
    let wrong = tcproute(&resolve(&file, &["--dataplane", "web", "-o", "xml"]));
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("jsonpath=EXPRESSION"));
}
