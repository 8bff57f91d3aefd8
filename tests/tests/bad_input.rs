//! Whatever is wrong with the input or the node: one clear error, the right exit code, nothing attached.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use tcproute_tests::{
    cgroup::{self, TestCgroup},
    is_root,
    mesh::Mesh,
    tcproute::{Bpffs, binary, exec},
};

fn good() -> Mesh {
    let mut mesh = Mesh::new();
    mesh.outbound("db", "127.0.0.1:1".parse().unwrap());
    mesh
}

fn assert_fails(output: &Output, code: i32, parts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    println!("{stderr}");
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part:?} is not in {stderr:?}");
    }
    assert_eq!(stderr.matches("error: ").count(), 1, "one error: {stderr}");
}

/// One command is not started on part of its input. It is read before any privilege is needed, so this needs no root.
#[test]
fn resources_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let cases = [
        ("no.yaml", None, vec!["no.yaml", "No such file"]),
        ("broken.yaml", Some("type: Mesh\nname: [a\n"), vec!["broken.yaml:3:1"]),
        ("tabs.yaml", Some("type: Mesh\nname: a\nmtls:\n\tx: 1\n"), vec!["tabs.yaml:4:2"]),
        (
            "field.yaml",
            Some("type: MeshTCPRoute\nname: a\nspek: {}\n"),
            vec!["field.yaml:3:1", "`spek`", "`spec`"],
        ),
        ("kind.yaml", Some("type: MeshTCPRuote\nname: a\n"), vec!["kind.yaml:1:7", "\"MeshTCPRoute\""]),
        (
            "twice.yaml",
            Some("type: Mesh\nname: a\n---\ntype: Mesh\nname: a\n"),
            vec!["twice.yaml:5:7", "already defined at", "twice.yaml:2:7"],
        ),
    ];
    for (name, text, parts) in cases {
        let path = directory.path().join(name);
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        assert_fails(&exec(&path, "web", &["true"]), 2, &parts);
    }
    let empty = tempfile::tempdir().unwrap();
    assert_fails(&exec(empty.path(), "web", &["true"]), 2, &["no *.yaml"]);
    fs::write(directory.path().join("bytes.yaml"), [0xff, 0xfe]).unwrap();
    assert_fails(&exec(&directory.path().join("bytes.yaml"), "web", &["true"]), 2, &["not UTF-8"]);
}

#[test]
fn a_dataplane_that_does_not_exist() {
    let mesh = good();
    assert_fails(&exec(&mesh.file(), "wbe", &["true"]), 2, &["\"wbe\"", "did you mean \"web\"?"]);
}

fn run(through: &mut Command, bpffs: &Path, cgroup: &Path) -> Output {
    let mesh = good();
    through.arg("run").arg("--resources").arg(mesh.file()).arg("--bpffs").arg(bpffs);
    through.arg("--state-dir").arg(bpffs.join("none"));
    through.arg("--workload").arg(format!("web={}", cgroup.display())).output().unwrap()
}

#[test]
fn a_name_that_can_never_be_a_cgroup() {
    if !is_root("a_name_that_can_never_be_a_cgroup") {
        return;
    }
    let bpffs = Bpffs::mount();
    let output = run(&mut Command::new(binary()), bpffs.path(), Path::new("/a[.slice"));
    assert_fails(&output, 2, &["--workload web", "/a[.slice"]);
    let output = run(&mut Command::new(binary()), bpffs.path(), Path::new("/"));
    assert_fails(&output, 2, &["is the root"]);
    let output = run(&mut Command::new(binary()), bpffs.path(), &cgroup::mount().join(".."));
    assert_fails(&output, 2, &["must not contain `..`"]);
    assert!(!bpffs.path().join("tcproute").exists());
}

#[test]
fn a_node_without_bpffs() {
    if !is_root("a_node_without_bpffs") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let cgroup = TestCgroup::create();
    let output = run(&mut Command::new(binary()), directory.path(), cgroup.path());
    assert_fails(&output, 1, &["no bpffs is mounted", "mount -t bpf bpf"]);
}

#[test]
fn a_node_without_cgroup2() {
    if !is_root("a_node_without_cgroup2") {
        return;
    }
    let bpffs = Bpffs::mount();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", "umount -l \"$0\" && exec \"$@\""])
        .arg(cgroup::mount())
        .arg(binary());
    let output = run(&mut command, bpffs.path(), Path::new("/some.slice"));
    assert_fails(&output, 1, &["no cgroup2 is mounted", "mount -t cgroup2"]);
}

#[test]
fn a_kernel_that_is_too_old() {
    if !is_root("a_kernel_that_is_too_old") {
        return;
    }
    let bpffs = Bpffs::mount();
    let mut command = Command::new("setarch");
    command.arg("--uname-2.6").arg(binary());
    let output = run(&mut command, bpffs.path(), Path::new("/some.slice"));
    assert_fails(&output, 1, &["this kernel is 2.6.", "needs 5.10 or later"]);
}

#[test]
fn a_user_who_is_not_root() {
    if !is_root("a_user_who_is_not_root") {
        return;
    }
    // A copy that the user may read and run.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.path().join("tcproute");
    fs::copy(binary(), &copy).unwrap();
    let resources = directory.path().join("mesh.yaml");
    let mesh = good();
    fs::copy(mesh.file(), &resources).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .arg("exec")
        .arg("--resources")
        .arg(&resources)
        .args(["--dataplane", "web", "--", "true"])
        .output()
        .unwrap();
    assert_fails(&output, 1, &["needs root", "sudo"]);
}
