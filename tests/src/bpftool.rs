//! What bpftool tells of the kernel.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

use serde_json::Value;

use crate::wait_for;

/// All `link`s, `map`s or `prog`s that there are. It fails where one goes while it lists them, as others' tests may
/// have it: then it is asked again.
pub fn list(kind: &str) -> Vec<Value> {
    let mut all = None;
    wait_for("bpftool lists them", || {
        let output = Command::new("bpftool").args(["-j", kind, "list"]).output();
        let output = output.expect("bpftool can be started");
        all = output.status.success().then_some(output.stdout);
        all.is_some()
    });
    serde_json::from_slice(&all.unwrap_or_default()).expect("bpftool shows JSON")
}

/// The links at this very cgroup. `bpftool cgroup show` would tell as well, but fails on kernels that do not know all
/// kinds of programs that it knows.
pub fn links_at(cgroup: &Path) -> Vec<Value> {
    let id = fs::metadata(cgroup).expect("the cgroup is there").ino();
    let mut links = list("link");
    links.retain(|link| link["cgroup_id"] == id);
    links
}
