//! What a node lacks, and what this process may not see of it.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use serde_json::Value;
use tcproute_tests::{
    is_root,
    tcproute::{Bpffs, binary},
};

use crate::{checks, doctor, report};

#[test]
fn this_node_is_ready() {
    if !is_root("this_node_is_ready") {
        return;
    }
    let bpffs = Bpffs::mount();
    let output = doctor(&mut Command::new(binary()), bpffs.path());
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["ready"], true);
    for id in ["kernel", "cgroup2", "bpffs", "privilege", "programs", "daemon"] {
        let [status, ..] = &checks(&report, id)[0];
        assert_eq!(status, "ok", "{id}: {report:#}");
    }
    // Of no use but for `run --drain`.
    assert!(["ok", "fallback"].contains(&checks(&report, "drain")[0][0].as_str()), "{report:#}");
    let programs = report["programs"].as_array().unwrap();
    let names: Vec<&str> = programs.iter().map(|program| program["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["connect4", "connect6", "getpeername4", "getpeername6", "sock_release", "sock_ops"]);
    assert!(programs.iter().all(|program| program["translatedBytes"].as_u64() > Some(0)), "{programs:#?}");
    assert!(
        ["ECONNREFUSED", "EPERM"].contains(&report["features"]["refusal"].as_str().unwrap()),
        "{report:#}"
    );
    for flag in ["mptcpPeerNames", "failureCauses", "traceProcesses"] {
        assert!(report["features"][flag].is_boolean(), "{flag}: {report:#}");
    }
    // Nothing was left there by looking.
    assert!(!bpffs.path().join("tcproute").exists());
}

#[test]
fn what_is_missing_has_a_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let output = doctor(&mut Command::new(binary()), directory.path());
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["ready"], false);
    let [status, _, remedy] = &checks(&report, "bpffs")[0];
    assert_eq!(status, "missing");
    assert!(remedy.contains(&format!("mount -t bpf bpf {}", directory.path().display())), "{remedy}");

    let output = doctor(Command::new("setarch").arg("--uname-2.6").arg(binary()), directory.path());
    let [status, found, _] = &checks(&crate::report(&output), "kernel")[0];
    assert_eq!(status, "missing");
    assert!(found.contains("older than 5.10"), "{found}");
}

#[test]
fn a_person_reads_the_remedies_last() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(binary()).arg("doctor").arg("--bpffs").arg(directory.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (findings, remedies) = text.split_once("\n\n").unwrap();
    assert!(findings.lines().any(|line| line.starts_with("MISSING") && line.contains("bpffs")), "{text}");
    assert!(remedies.contains("bpffs: mount it with"), "{text}");
    assert!(text.ends_with("tcproute cannot run here yet\n"), "{text}");
}

#[test]
fn without_privilege_it_says_what_it_cannot_tell() {
    if !is_root("without_privilege_it_says_what_it_cannot_tell") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.path().join("tcproute");
    fs::copy(binary(), &copy).unwrap();
    let mut user = Command::new("setpriv");
    user.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy);
    let output = doctor(&mut user, directory.path());
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1));
    for (id, wanted) in [
        ("privilege", "missing"),
        ("programs", "unknown"),
        ("other-programs", "unknown"),
        ("daemon", "unknown"),
    ] {
        let [status, found, _] = &checks(&report, id)[0];
        assert_eq!(status, wanted, "{id}: {report:#}");
        assert!(found.contains("root"), "{id}: {found}");
    }
    assert_eq!(report["features"]["refusal"], Value::Null);
}

#[test]
fn root_of_a_container_is_told_what_it_may_not_see() {
    if !is_root("root_of_a_container_is_told_what_it_may_not_see") {
        return;
    }
    let bpffs = Bpffs::mount();
    let report_with = |capabilities: &str| {
        let mut root = Command::new("setpriv");
        root.arg(format!("--bounding-set={capabilities}")).arg(binary());
        report(&doctor(&mut root, bpffs.path()))
    };
    // The kernel lets only this one list the programs of others; nothing else needs it.
    let report = report_with("-sys_admin");
    assert_eq!((&report["ready"], &checks(&report, "privilege")[0][0]), (&true.into(), &"ok".to_owned()));
    assert_eq!(report["missingCapabilities"], serde_json::json!(["CAP_SYS_ADMIN"]));
    let [status, found, _] = &checks(&report, "capabilities")[0];
    assert_eq!(status, "fallback");
    assert!(found.contains("without CAP_SYS_ADMIN programs of others are not listed"), "{found}");
    let [status, found, _] = &checks(&report, "other-programs")[0];
    assert_eq!(status, "unknown", "{found}");
    assert!(found.contains("Operation not permitted"), "{found}");
    let report = report_with("-sys_admin,-bpf");
    assert_eq!(report["ready"], false);
    for id in ["privilege", "programs"] {
        assert_eq!(checks(&report, id)[0][0], "missing", "{report:#}");
    }
    let [_, found, _] = &checks(&report, "privilege")[0];
    assert_eq!(found, "root, without CAP_BPF to load programs and make maps");
    // The switch of the JIT is not there in other network namespaces.
    let mut inside = Command::new("unshare");
    inside.arg("--net").arg(binary());
    let [status, ..] = &checks(&crate::report(&doctor(&mut inside, bpffs.path())), "jit")[0];
    assert!(["ok", "warning"].contains(&status.as_str()), "{status}");
}

#[test]
fn a_bpffs_of_a_container_is_told_from_the_nodes() {
    if !is_root("a_bpffs_of_a_container_is_told_from_the_nodes") {
        return;
    }
    let bpffs = Bpffs::mount();
    let of_node = |report: &Value| checks(report, "bpffs-of-node");
    let output = doctor(&mut Command::new(binary()), bpffs.path());
    if !of_node(&report(&output)).is_empty() {
        println!("SKIPPED a_bpffs_of_a_container_is_told_from_the_nodes: this is a container");
        return;
    }
    let inside = |prepare: &str| {
        let script = format!("{prepare} && exec \"$@\"");
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", &script]).arg(bpffs.path()).arg(binary());
        report(&doctor(&mut unshare, bpffs.path()))
    };
    let [[status, found, _]] = &of_node(&inside("true"))[..] else { panic!("it is not told") };
    assert_eq!((status.as_str(), found.as_str()), ("ok", "it is the node's own"));
    let [[status, found, remedy]] = &of_node(&inside("mount -t bpf bpf \"$0\""))[..] else {
        panic!("it is not told")
    };
    assert_eq!(status, "warning", "{found}");
    assert!(remedy.contains("mountPropagation"), "{remedy}");
}
