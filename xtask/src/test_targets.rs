//! Which of the binaries in `tests/tests` run where.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::command;

/// What needs a kube-apiserver and no particular kernel.
pub(crate) const CLUSTER: &str = "cluster";

/// As arguments of `cargo test`, what runs on each kernel: all the others.
pub(crate) fn of_kernels() -> Result<Vec<String>> {
    let mut metadata = command::cargo();
    metadata.args(["metadata", "--format-version=1", "--no-deps"]);
    arguments(&command::capture(&mut metadata)?)
}

fn arguments(metadata: &str) -> Result<Vec<String>> {
    let metadata: Value = serde_json::from_str(metadata)?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let tests = packages.iter().find(|package| package["name"] == "tcproute-tests");
    let targets = tests.and_then(|package| package["targets"].as_array()).context("tests have no targets")?;
    let is_test = |target: &&Value| {
        target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"))
    };
    let names: Vec<&str> =
        targets.iter().filter(is_test).filter_map(|target| target["name"].as_str()).collect();
    ensure!(names.contains(&CLUSTER), "there is no test {CLUSTER}");
    let others = names.iter().filter(|&&name| name != CLUSTER);
    let beside = ["--lib", "--bins"].map(str::to_owned).into_iter();
    Ok(beside.chain(others.map(|name| format!("--test={name}"))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_an_api_server_is_not_run_on_each_kernel() {
        let metadata = serde_json::json!({"packages": [
            {"name": "other", "targets": [{"kind": ["test"], "name": "other"}]},
            {"name": "tcproute-tests", "targets": [
                {"kind": ["lib"], "name": "tcproute_tests"},
                {"kind": ["test"], "name": "cluster"},
                {"kind": ["test"], "name": "live"},
            ]},
        ]});
        assert_eq!(arguments(&metadata.to_string()).unwrap(), ["--lib", "--bins", "--test=live"]);
    }

    #[test]
    fn the_kernel_tests_are_found() {
        let arguments = of_kernels().unwrap();
        assert!(arguments.contains(&"--test=live".to_owned()), "{arguments:?}");
    }
}
