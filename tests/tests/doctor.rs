//! `tcproute doctor` on this very node, as it is and as it could be.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tcproute_tests::{
    cgroup::TestCgroup,
    is_root,
    mesh::Mesh,
    tcproute::{Bpffs, Daemon, binary},
};

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
    let [status, found, _] = &checks(&self::report(&output), "kernel")[0];
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
    let [status, found, _] = &checks(&report, "other-programs")[0];
    assert_eq!(status, "unknown", "{found}");
    assert!(found.contains("Operation not permitted"), "{found}");
    let report = report_with("-sys_admin,-bpf");
    assert_eq!(report["ready"], false);
    for id in ["privilege", "programs"] {
        assert_eq!(checks(&report, id)[0][0], "missing", "{report:#}");
    }
    // The switch of the JIT is not there in other network namespaces.
    let mut inside = Command::new("unshare");
    inside.arg("--net").arg(binary());
    let [status, ..] = &checks(&self::report(&doctor(&mut inside, bpffs.path())), "jit")[0];
    assert!(["ok", "warning"].contains(&status.as_str()), "{status}");
}

/// `return 1` for connect4, loaded and pinned with nothing but bpf(2): other kernels are tested without a compiler.
const THEIRS: &str = r"
import ctypes, os, platform, resource, struct, sys
try: resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
except ValueError: pass # only kernels before 5.11 need it
libc = ctypes.CDLL(None, use_errno=True)
number = {'x86_64': 321, 'aarch64': 280}[platform.machine()]
address = ctypes.addressof
def bpf(command, attributes):
    data = ctypes.create_string_buffer(attributes)
    result = libc.syscall(number, command, data, len(attributes))
    if result < 0: raise OSError(ctypes.get_errno(), 'bpf', command)
    return result
code = ctypes.create_string_buffer(struct.pack('=BBhi', 0xb7, 0, 0, 1) + struct.pack('=BBhi', 0x95, 0, 0, 0))
license = ctypes.create_string_buffer(b'GPL')
BPF_PROG_LOAD, BPF_OBJ_PIN, CGROUP_SOCK_ADDR, INET4_CONNECT = 5, 6, 18, 10
program = bpf(BPF_PROG_LOAD, struct.pack(
    '=IIQQIIQII16sII', CGROUP_SOCK_ADDR, 2, address(code), address(license), 0, 0, 0, 0, 0, b'theirs', 0, INET4_CONNECT))
path = ctypes.create_string_buffer(os.fsencode(sys.argv[1]))
bpf(BPF_OBJ_PIN, struct.pack('=QII', address(path), program, 0))
";

/// A program of somebody else, pinned.
fn theirs(bpffs: &Bpffs) -> PathBuf {
    let pin = bpffs.path().join("theirs");
    let status = Command::new("python3").args(["-SEc", THEIRS]).arg(&pin).status().unwrap();
    assert!(status.success());
    pin
}

fn attach(program: &Path, cgroup: &TestCgroup, flags: &[&str]) {
    let mut bpftool = Command::new("bpftool");
    bpftool
        .args(["cgroup", "attach"])
        .arg(cgroup.path())
        .args(["connect4", "pinned"])
        .arg(program)
        .args(flags);
    assert!(bpftool.status().unwrap().success());
}

#[test]
fn programs_of_others_are_listed_and_ours_are_not() {
    if !is_root("programs_of_others_are_listed_and_ours_are_not") {
        return;
    }
    let bpffs = Bpffs::mount();
    let program = theirs(&bpffs);
    let [beside, alone] = [TestCgroup::create(), TestCgroup::create()];
    attach(&program, &beside, &["multi"]);
    attach(&program, &alone, &[]);
    let mut mesh = Mesh::new();
    mesh.outbound("db", "127.0.0.1:1".parse().unwrap());
    let daemon = Daemon::start(&mesh.file(), &[("web", beside.path())]);

    let output = doctor(&mut Command::new(binary()), daemon.bpffs.path());
    let report = report(&output);
    let others = checks(&report, "other-programs");
    // Tests that run at the same time have cgroups of their own.
    let about = |cgroup: &TestCgroup| -> Vec<&[String; 3]> {
        let path = cgroup.path().display().to_string();
        others.iter().filter(|[_, found, _]| found.contains(&path)).collect()
    };
    let [[status, found, _]] = about(&beside)[..] else { panic!("{others:#?}") };
    assert_eq!(status, "ok");
    assert!(found.contains("theirs (id "), "{found}");
    let [[status, found, remedy]] = about(&alone)[..] else { panic!("{others:#?}") };
    assert_eq!(status, "warning");
    assert!(found.contains("tcproute cannot be attached there or below"), "{found}");
    assert!(remedy.contains("BPF_F_ALLOW_MULTI"), "{remedy}");
    let path = alone.path().to_str().unwrap();
    let listed = report["others"].as_array().unwrap().iter().find(|other| other["cgroup"] == path).unwrap();
    assert_eq!((&listed["attachType"], &listed["attachMode"]), (&"connect4".into(), &"none".into()));
    assert_eq!(listed["name"], "theirs");
    let [_, found, _] = &checks(&report, "daemon")[0];
    assert_eq!(found, &format!("running with pid {}", daemon.pid()));
}
