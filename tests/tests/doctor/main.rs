//! `tcproute doctor` on this very node, as it is and as it could be.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api;
mod cluster;
mod node;
mod programs;

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

fn doctor(through: &mut Command, bpffs: &Path) -> Output {
    through.args(["doctor", "--output", "json", "--bpffs"]).arg(bpffs).output().unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The status, what was found and the remedy of each check of that name.
fn checks(report: &Value, id: &str) -> Vec<[String; 3]> {
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["id"] == id);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    checks.map(|check| ["status", "found", "remedy"].map(|field| text(&check[field]))).collect()
}
