//! The examples are what they say: each file is valid without a note, and both forms of one mean the same. That
//! connections go where they say is shown by `cargo xtask demo --all`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tcproute_tests::tcproute::binary;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

fn tcproute(arguments: &[&str], paths: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).args(paths.iter().map(|path| example(path)));
    command.output().unwrap()
}

/// With what a directory cannot have at the same time: two states of one route.
const VALID_TOGETHER: [&[&str]; 12] = [
    &["split-universal.yaml"],
    &["split-kubernetes.yaml"],
    &["redirect-universal.yaml"],
    &["redirect-kubernetes.yaml"],
    &["canary/universal.yaml"],
    &["canary/kubernetes.yaml"],
    &["redirect-to-external-service/universal.yaml"],
    &["by-zone/universal.yaml"],
    &["per-client/universal.yaml"],
    &["blue-green/mesh.yaml", "blue-green/blue.yaml"],
    &["blue-green/mesh.yaml", "blue-green/green.yaml"],
    &["database-failover/mesh.yaml", "database-failover/standby.yaml"],
];

#[test]
fn every_example_is_valid_without_a_note() {
    for files in VALID_TOGETHER {
        let output = tcproute(&["validate"], files);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !told.contains("note:"), "{files:?}: {told}");
    }
}

/// The backends of the only route of `frontend-1`, without the name of their service.
fn backends(file: &str) -> Vec<Value> {
    let output =
        tcproute(&["resolve", "--dataplane", "frontend-1", "--output", "json", "--resources"], &[file]);
    let routes: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut backends = routes["routes"][0]["backends"].as_array().unwrap().clone();
    for backend in &mut backends {
        backend.as_object_mut().unwrap().remove("name");
    }
    backends
}

#[test]
fn both_forms_mean_the_same() {
    let forms = [
        ["canary/universal.yaml", "canary/kubernetes.yaml"],
        ["split-universal.yaml", "split-kubernetes.yaml"],
        ["redirect-universal.yaml", "redirect-kubernetes.yaml"],
    ];
    for [universal, kubernetes] in forms {
        let expected = backends(universal);
        assert!(!expected.is_empty(), "{universal}");
        assert_eq!(backends(kubernetes), expected, "{kubernetes}");
    }
}
