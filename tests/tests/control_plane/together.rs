//! Several sources at once: each for itself, and one that is away holds nobody else.

use std::{fs, process::Command};

use serde_json::Value;
use tcproute_tests::{
    control_plane::{Options, Server},
    is_root, replace,
    tcproute::binary,
    wait_for,
};

use super::fixture::{Setup, lead};

/// The Dataplanes are a control plane's, and the policy is in a file.
#[test]
fn sources_combine_and_each_is_told_by_itself() {
    if !is_root("sources_combine_and_each_is_told_by_itself") {
        return;
    }
    let server = Server::start(Options::default());
    let setup = Setup::new();
    server.put_yaml(&setup.documents());
    server.delete("MeshTCPRoute", "default", "split");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.yaml");
    fs::write(&file, lead(1, 0)).unwrap();
    let sources = ["--source", "files", "--source", "control-plane", "--resources", file.to_str().unwrap()];
    let daemon = setup.start(&server.url(), &sources);
    setup.reach("v1");
    let source = |name: &str| -> Value {
        let status = daemon.json("/v1/status");
        let sources = status["sources"].as_array().unwrap();
        sources.iter().find(|source| source["name"] == name).unwrap().clone()
    };
    assert_eq!(source("files")["resources"], 1);
    assert!(source("control-plane")["resources"].as_u64() >= Some(4));
    let heard = |name: &str| source(name)["answered"].as_str().unwrap().to_owned();
    let before = (heard("files"), heard("control-plane"));
    wait_for("the control plane is heard again", || heard("control-plane") > before.1);
    assert_eq!(heard("files"), before.0, "nothing has happened there");

    // The control plane goes, and files go on.
    server.stop();
    wait_for("it is told", || source("control-plane")["failing"].is_object());
    assert!(source("files")["failing"].is_null());
    let answering = |name: &str| daemon.metric(&format!("tcproute_source_answering{{source=\"{name}\"}}"));
    assert_eq!((answering("files"), answering("control-plane")), (1, 0));
    replace(&file, &lead(0, 1));
    setup.reach("v2");
    // A file that cannot be read, and the control plane goes on.
    server.restart();
    wait_for("it is well", || source("control-plane")["failing"].is_null());
    replace(&file, "type: [");
    wait_for("it is told", || {
        source("files")["failing"].is_object()
            || !daemon.json("/v1/status")["rejected"].as_array().unwrap().is_empty()
    });
    server.delete("Dataplane", "default", "db-2");
    let moved = setup.documents().replace("version: v2", "version: v3").replace("version: v1", "version: v2");
    server.put_yaml(
        &moved.split("---\ntype: MeshTCPRoute").next().unwrap().replace("name: db-2", "name: db-3"),
    );
    setup.reach("v1");
    // What both have is the first one's, and the other is told.
    replace(&file, &lead(1, 0));
    server.put_yaml(&lead(0, 1));
    wait_for("it is told", || {
        let rejected = daemon.json("/v1/status")["rejected"].to_string();
        rejected.contains("MeshTCPRoute split of mesh default is already defined by the source files")
    });
}

#[test]
fn what_does_not_go_together_is_told() {
    if !is_root("what_does_not_go_together_is_told") {
        return;
    }
    for (arguments, told) in [
        (vec!["--source", "control-plane"], "--source control-plane needs --url URL"),
        (
            vec!["--resources", "/dev/null", "--url", "http://127.0.0.1:1"],
            "--url is asked only with --source control-plane",
        ),
        (vec!["--ca", "/x"], "--url"),
        (vec!["--url", "cp:5682"], "neither http nor https"),
        (vec!["--url", "https://user:pw@cp"], "credentials in a URL would be shown"),
    ] {
        let output = Command::new(binary()).args(["resolve", "--all"]).args(&arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && error.contains(told), "{arguments:?}: {error}");
    }
}

/// One that does not even answer at the start.
#[test]
fn a_control_plane_that_is_away_at_the_start_holds_no_file_up() {
    if !is_root("a_control_plane_that_is_away_at_the_start_holds_no_file_up") {
        return;
    }
    let server = Server::start(Options::default());
    let setup = Setup::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mesh.yaml");
    fs::write(&file, setup.documents()).unwrap();
    server.stop();
    let sources = ["--source", "control-plane", "--source", "files", "--resources", file.to_str().unwrap()];
    let _daemon = setup.start(&server.url(), &sources);
    setup.reach("v1");
    // It comes, and what it has is before what files have.
    server.restart();
    server.put_yaml(&lead(0, 1));
    setup.reach("v2");
}
