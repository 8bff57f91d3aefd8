//! The daemon: which processes are routed, where, and what is left when it goes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, net::SocketAddr, path::Path, process::Command};

use tcproute_tests::{
    Loopback,
    bpftool::links_at,
    cgroup::TestCgroup,
    client::{ask, script, stdout},
    is_root,
    mesh::Mesh,
    routes::OneBackend,
    server::Server,
    tcproute::{Bpffs, Daemon, binary, run_arguments},
    wait_for,
};

fn name_at(cgroup: Option<&TestCgroup>, address: SocketAddr) -> String {
    let body = format!(
        "
try: print(name(dial('{}', {})))
except OSError as e: print(errno.errorcode[e.errno])
",
        address.ip(),
        address.port()
    );
    let mut command = cgroup.map_or_else(|| Command::new("python3"), |cgroup| cgroup.command("python3"));
    stdout(&command.args(["-SEc", &script(&body)]).output().unwrap())
}

#[test]
fn only_the_workloads_processes_are_routed() {
    if !is_root("only_the_workloads_processes_are_routed") {
        return;
    }
    let net = Loopback::claim();
    let OneBackend { dialled, mesh, backend: _backend } = OneBackend::new(net);
    let _dialled = Server::start(dialled, "dialled");
    let elsewhere = Server::start((net.ip(2, 2), 0), "elsewhere");

    let workload = TestCgroup::create();
    let outsider = TestCgroup::create();
    let mut daemon = Daemon::start(&mesh.file(), &[("web", workload.path())]);
    let nested = workload.child("nested");
    let deeper = nested.child("deeper");
    assert_eq!(name_at(Some(&workload), dialled), "backend");
    assert_eq!(name_at(Some(&deeper), dialled), "backend", "nested cgroups inherit");
    assert_eq!(name_at(Some(&outsider), dialled), "dialled", "outsiders are untouched");
    assert_eq!(name_at(None, dialled), "dialled", "outsiders are untouched");
    assert_eq!(
        name_at(Some(&workload), elsewhere.address()),
        "elsewhere",
        "other destinations are untouched"
    );
    drop(deeper);
    drop(nested);

    let mut attached = attached_to(workload.path());
    attached.sort();
    let expected = [
        "inet4_connect",
        "inet4_getpeername",
        "inet6_connect",
        "inet6_getpeername",
        "inet_sock_release",
        "sock_ops",
    ];
    assert_eq!(attached, expected.map(|hook| format!("cgroup_{hook}")));

    let pins = daemon.bpffs.path().join("tcproute");
    assert!(pins.join("routes").exists());
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(attached_to(workload.path()).len(), expected.len(), "the programs end with the daemon");
    assert_eq!(name_at(Some(&workload), dialled), "backend");
}

/// Where in the cgroup the kernel has programs attached by links.
fn attached_to(cgroup: &Path) -> Vec<String> {
    let links = links_at(cgroup);
    links.iter().map(|link| link["attach_type"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_second_daemon_is_refused_with_the_pid_of_the_first() {
    if !is_root("a_second_daemon_is_refused_with_the_pid_of_the_first") {
        return;
    }
    let OneBackend { dialled, mesh, backend: _backend } = OneBackend::new(Loopback::claim());
    let file = mesh.file();
    let cgroup = TestCgroup::create();
    let bpffs = Bpffs::mount();
    let directory = tempfile::tempdir().unwrap();
    let run = || {
        let mut command = Command::new(binary());
        let socket = directory.path().join("admin.sock");
        run_arguments(&mut command, &file, bpffs.path(), &socket, &[("web", cgroup.path())]);
        command
    };
    let mut first = run().spawn().unwrap();
    wait_for("the first daemon routes", || name_at(Some(&cgroup), dialled) == "backend");

    let second = run().output().unwrap();
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{stderr}");
    let refusal = format!("another tcproute is running on this node with pid {}", first.id());
    assert!(stderr.contains(&refusal), "{stderr}");
    assert_eq!(name_at(Some(&cgroup), dialled), "backend", "the first is undisturbed");

    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn the_same_address_may_lead_elsewhere_for_another_workload() {
    if !is_root("the_same_address_may_lead_elsewhere_for_another_workload") {
        return;
    }
    let net = Loopback::claim();
    let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
    let one = Server::start((net.ip(1, 1), 0), "one");
    let two = Server::start((net.ip(1, 2), 0), "two");
    let mut mesh = Mesh::new();
    mesh.outbound("first", dialled).endpoint("first", "x", one.address()).endpoint(
        "second",
        "x",
        two.address(),
    );
    mesh.dataplane("batch", "batch", "second", dialled);
    let (web, batch) = (TestCgroup::create(), TestCgroup::create());
    let _daemon = Daemon::start(&mesh.file(), &[("web", web.path()), ("batch", batch.path())]);
    for (cgroup, name) in [(&web, "one"), (&batch, "two")] {
        assert_eq!(ask(cgroup, dialled, 50), [(name.to_owned(), 50)].into());
    }
}

/// The daemon sees an `/etc/hosts` of its own, through a mount namespace: the real resolver, a real change.
#[test]
fn a_name_is_resolved_again_when_its_addresses_change() {
    if !is_root("a_name_is_resolved_again_when_its_addresses_change") {
        return;
    }
    let net = Loopback::claim();
    let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
    let old = Server::start((net.ip(1, 1), 5432), "old");
    let _new = Server::start((net.ip(1, 2), 5432), "new");
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts");
    let write = |ip: std::net::Ipv4Addr| fs::write(&hosts, format!("{ip} db.example\n")).unwrap();
    write(net.ip(1, 1));
    let mut mesh = Mesh::new();
    mesh.outbound("db", dialled).document(
        "type: ExternalService\nname: db\ntags: {kuma.io/service: db}\nnetworking: {address: 'db.example:5432'}\n",
    );
    let cgroup = TestCgroup::create();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""])
        .arg(&hosts)
        .arg(binary());
    let workloads = [("web", cgroup.path())];
    let daemon = Daemon::start_with(&mut command, &mesh.file(), &workloads, &["--dns-interval", "0.1"]);
    assert_eq!(name_at(Some(&cgroup), dialled), "old");
    write(net.ip(1, 2));
    daemon.wait_for_line("new routes in force");
    assert_eq!(name_at(Some(&cgroup), dialled), "new");
    // A name that cannot be resolved keeps its last addresses.
    fs::write(&hosts, "").unwrap();
    daemon.wait_for_line("its last addresses stay in force");
    assert_eq!(name_at(Some(&cgroup), dialled), "new");
    drop(old);
}

#[test]
fn overlapping_workloads_are_refused() {
    if !is_root("overlapping_workloads_are_refused") {
        return;
    }
    let cgroup = TestCgroup::create();
    let child = cgroup.child("inside");
    let bpffs = Bpffs::mount();
    let mut mesh = Mesh::new();
    mesh.outbound("db", "127.0.0.1:1".parse().unwrap());
    let output = Command::new(binary())
        .arg("run")
        .arg("--resources")
        .arg(mesh.file())
        .arg("--bpffs")
        .arg(bpffs.path())
        .args(["--workload", &format!("web={}", cgroup.path().display())])
        .args(["--workload", &format!("web={}", child.path().display())])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("two workloads overlap"), "{stderr}");
}

/// A socket's state has its place by the low 16 bits of the cookie. This finds a second socket for the place
/// of a live one, and then lets the first go.
#[test]
fn a_socket_whose_place_is_taken_keeps_its_state_elsewhere() {
    if !is_root("a_socket_whose_place_is_taken_keeps_its_state_elsewhere") {
        return;
    }
    let OneBackend { dialled, mesh, backend } = OneBackend::new(Loopback::claim());
    let cgroup = TestCgroup::create();
    let mut daemon = Daemon::start(&mesh.file(), &[("web", cgroup.path())]);
    let body = format!(
        "
DIALLED, BACKEND = ('{}', {}), ('{}', {})
one_cpu()
first = dial(*DIALLED)
second = with_the_place_of(first)
second.connect(DIALLED)
print(first.getpeername() == DIALLED, second.getpeername() == DIALLED, name(second))
first.close()
disconnect(second); second.connect(DIALLED); print(second.getpeername() == DIALLED, name(second))
disconnect(second); second.connect(BACKEND); print(second.getpeername() == BACKEND, name(second))
",
        dialled.ip(),
        dialled.port(),
        backend.address().ip(),
        backend.address().port()
    );
    let output = cgroup.command("python3").args(["-SEc", &script(&body)]).output().unwrap();
    assert_eq!(stdout(&output), "True True backend\nTrue backend\nTrue backend");
    daemon.stop();
    let counters = daemon.wait_for_line("connections: ");
    assert!(counters.contains("3 routed, 0 refused, 1 overflowed, 0 unrecorded, 0 internal"), "{counters}");
    let outcomes = daemon.wait_for_line("attempted");
    assert!(outcomes.ends_with(": 3 attempted, 3 established, 3 closed"), "{outcomes}");
}
