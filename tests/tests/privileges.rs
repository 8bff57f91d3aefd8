//! What the daemon may do while it runs: nothing that it does not need, whoever it is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use rustix::process::{Resource, Rlimit, setrlimit};
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::reaches,
    is_root,
    process::Process,
    routes::OneBackend,
    tcproute::{Bpffs, Daemon, binary, run_arguments},
    wait_for,
};

/// CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF (capabilities(7)).
const NEEDED: u64 = 1 << 12 | 1 << 38 | 1 << 39;
/// CAP_SYS_PTRACE and CAP_SYS_ADMIN.
const TO_VISIT: u64 = 1 << 19 | 1 << 21;

const ALL: &str = "CAP_BPF CAP_NET_ADMIN CAP_PERFMON CAP_SYS_ADMIN CAP_SYS_PTRACE";

/// A field of `/proc/<pid>/task/<tid>/status` of each thread.
fn of_threads(pid: u32, field: &str) -> Vec<u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let read = |thread: fs::DirEntry| {
        // One may end meanwhile.
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let value =
            status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap().trim();
        Some(u64::from_str_radix(value, 16).unwrap())
    };
    threads.filter_map(|thread| read(thread.unwrap())).collect()
}

fn is_routed(cgroup: &TestCgroup, route: &OneBackend) -> bool {
    reaches(cgroup, route.dialled, "backend")
}

#[test]
fn the_daemon_keeps_no_privilege_that_it_does_not_need() {
    if !is_root("the_daemon_keeps_no_privilege_that_it_does_not_need") {
        return;
    }
    let route = OneBackend::new(Loopback::claim());
    let parent = TestCgroup::create();
    let pattern = parent.path().join("web-*");
    let first = parent.child("web-1");
    for (more, kept, names) in [
        (&["--sidecar", "off"][..], NEEDED, "CAP_BPF CAP_NET_ADMIN CAP_PERFMON"),
        (&["--sidecar", "off", "--drain", "1"], NEEDED | TO_VISIT, ALL),
        (&[], NEEDED | TO_VISIT, ALL),
    ] {
        let workloads = [("web", pattern.as_path())];
        let mut command = Command::new(binary());
        let mut daemon = Daemon::start_with(&mut command, &route.mesh.file(), &workloads, more);
        for (field, value) in [
            ("CapEff", kept),
            ("CapPrm", kept),
            ("CapBnd", kept),
            ("CapInh", 0),
            ("CapAmb", 0),
            ("NoNewPrivs", 1),
            ("Seccomp", 2),
        ] {
            let all = of_threads(daemon.pid(), field);
            assert!(
                !all.is_empty() && all.iter().all(|&it| it == value),
                "{field}: {all:x?} instead of {value:x}"
            );
        }
        let told = daemon.json("/v1/status")["capabilities"].clone();
        let told: Vec<&str> = told.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(told.join(" "), names);
        assert_eq!(daemon.json("/v1/status")["confined"], true);
        assert!(is_routed(&first, &route));
        // What comes later is attached, and what goes is detached, with what is left.
        let second = parent.child("web-2");
        wait_for("it is routed", || is_routed(&second, &route));
        drop(second);
        wait_for("it is gone", || daemon.metric("tcproute_workloads_attached") == 1);
        assert_eq!(daemon.stop(), Some(0));
    }
}

#[test]
fn another_user_with_three_capabilities_will_do() {
    if !is_root("another_user_with_three_capabilities_will_do") {
        return;
    }
    let route = OneBackend::new(Loopback::claim());
    let (web, bpffs) = (TestCgroup::create(), Bpffs::mount());
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let everybody = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    fs::copy(binary(), at("tcproute")).unwrap();
    fs::write(at("mesh.yaml"), route.mesh.text()).unwrap();
    everybody(directory.path(), 0o777);
    everybody(&at("mesh.yaml"), 0o644);
    everybody(bpffs.path(), 0o1777);
    // Before 5.11 maps count as locked memory, and to lock more takes another privilege: so the limit is given, as a
    // unit would. Later it does not matter.
    let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
    let mut command = Command::new("setpriv");
    let capabilities = "+bpf,+net_admin,+perfmon";
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args(["--inh-caps", capabilities, "--ambient-caps", capabilities]).arg(at("tcproute"));
    let socket = at("run/admin.sock");
    run_arguments(&mut command, &at("mesh.yaml"), bpffs.path(), &socket, &[("web", web.path())]);
    let log = fs::File::create(at("log")).unwrap();
    let mut daemon = Process(command.stdin(Stdio::null()).stderr(log).spawn().unwrap());
    wait_for("the routes are in force", || {
        let log = fs::read_to_string(at("log")).unwrap();
        assert!(!daemon.has_ended(), "{log}");
        log.contains("routes in force")
    });
    assert!(is_routed(&web, &route));
    assert_eq!(daemon.stop(), Some(0));
    assert!(is_routed(&web, &route), "what is in force stays");
    // The pins are that user's, and nobody else's.
    let mut detach = Command::new("setpriv");
    detach.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    detach.args(["--inh-caps", capabilities, "--ambient-caps", capabilities]).arg(at("tcproute"));
    assert!(detach.arg("detach").arg("--bpffs").arg(bpffs.path()).status().unwrap().success());
    assert!(!is_routed(&web, &route));
}
