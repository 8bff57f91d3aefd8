//! Which of the binaries in `tests/tests` run where.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::command;

/// What needs a kube-apiserver and no particular kernel.
pub(crate) const CLUSTER: &str = "cluster";

/// What the kernel has no part in: once is enough, on a machine that is fast.
const ONCE: [&str; 24] = [
    "bugreport",
    "completions",
    "control_plane",
    "demo",
    "describe",
    "diff_live",
    "examples",
    "get",
    "guide",
    "hostile_admin",
    "hostile_names",
    "last_good",
    "memory",
    "metrics",
    "names",
    "otlp",
    "packages",
    "page",
    "resolve",
    "service",
    "top",
    "unwritable",
    "validate",
    "warnings",
];

/// What is about pins, cgroups and the life of daemons, in which kernels differ little: when all is tested, it runs
/// here and on the oldest kernel.
pub(crate) const ALIKE: [&str; 13] = [
    "admin",
    "come_and_go",
    "exec",
    "foreign_pins",
    "gone",
    "growth",
    "guard",
    "killed",
    "later",
    "leftovers",
    "live",
    "tenants",
    "vanished_pins",
];

/// As arguments of `cargo test`, what runs here: all but the cluster tests.
pub(crate) fn here() -> Result<Vec<String>> {
    arguments(&metadata()?, &[CLUSTER])
}

/// The same, of what runs on each kernel.
pub(crate) fn of_kernels() -> Result<Vec<String>> {
    arguments(&metadata()?, &[&[CLUSTER], &ONCE[..]].concat())
}

fn metadata() -> Result<String> {
    let mut metadata = command::cargo();
    command::capture(metadata.args(["metadata", "--format-version=1", "--no-deps"]))
}

fn arguments(metadata: &str, without: &[&str]) -> Result<Vec<String>> {
    let metadata: Value = serde_json::from_str(metadata)?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let tests = packages.iter().find(|package| package["name"] == "tcproute-tests");
    let targets = tests.and_then(|package| package["targets"].as_array()).context("tests have no targets")?;
    let is_test = |target: &&Value| {
        target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"))
    };
    let names: Vec<&str> =
        targets.iter().filter(is_test).filter_map(|target| target["name"].as_str()).collect();
    for name in without {
        ensure!(names.contains(name), "there is no test {name}");
    }
    let others = names.iter().filter(|name| !without.contains(name));
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
        let arguments = |without: &[&str]| arguments(&metadata.to_string(), without);
        assert_eq!(arguments(&[CLUSTER]).unwrap(), ["--lib", "--bins", "--test=live"]);
        assert!(arguments(&["gone"]).unwrap_err().to_string().contains("there is no test gone"));
    }

    #[test]
    fn the_kernel_tests_are_found() {
        let arguments = of_kernels().unwrap();
        assert!(arguments.contains(&"--test=live".to_owned()), "{arguments:?}");
        let once = "--test=control_plane".to_owned();
        assert!(here().unwrap().contains(&once) && !arguments.contains(&once));
        assert!(ALIKE.iter().all(|name| arguments.contains(&format!("--test={name}"))), "{arguments:?}");
    }
}
