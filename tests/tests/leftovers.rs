//! A whole life of the daemon and of `exec` leaves no program, map, link, cgroup or pin. Alone in its file,
//! and so in its process: other tests would be counted, too.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, net::SocketAddr, process::Command};

use tcproute_tests::{
    Loopback, cgroup,
    cgroup::TestCgroup,
    client::{counting, counts, stdout},
    is_root,
    mesh::Mesh,
    server::Server,
    tcproute::{Daemon, exec},
    wait_for,
};

/// How many programs, maps and links of ours the kernel has.
fn in_kernel() -> [usize; 3] {
    let count = |kind: &str, names: &[&str]| {
        let list = stdout(&Command::new("bpftool").args([kind, "list"]).output().unwrap());
        list.lines().filter(|line| names.iter().any(|name| line.contains(name))).count()
    };
    [
        count("prog", &["name connect4 ", "name connect6 ", "name getpeername", "name sock_release "]),
        count(
            "map",
            &["name routes ", "name backends ", "name endpoints ", "name connections ", "name workloads "],
        ),
        count("link", &[": cgroup "]),
    ]
}

fn exec_cgroups() -> usize {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap().to_owned();
    let entries = fs::read_dir(cgroup::mount().join(own)).unwrap();
    entries
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("tcproute-exec-"))
        .count()
}

#[test]
fn nothing_is_left_behind() {
    if !is_root("nothing_is_left_behind") {
        return;
    }
    let net = Loopback::claim();
    let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
    let backend = Server::start((net.ip(1, 1), 0), "backend");
    let mut mesh = Mesh::new();
    mesh.outbound("db", dialled).endpoint("db", "x", backend.address());
    let file = mesh.file();
    let (before, cgroups_before) = (in_kernel(), exec_cgroups());

    let cgroup = TestCgroup::create();
    let mut daemon = Daemon::start(&file, &[("web", cgroup.path())]);
    let during = in_kernel();
    println!("programs, maps, links: {before:?} before, {during:?} during");
    assert_eq!(during[0] - before[0], 5, "programs");
    assert_eq!(during[1] - before[1], 5, "maps");
    assert_eq!(during[2] - before[2], 5, "links");
    let output = cgroup.command("python3").args(["-c", &counting(dialled, 100)]).output().unwrap();
    assert_eq!(counts(&output), [("backend".to_owned(), 100)].into());
    assert_eq!(daemon.stop(), Some(0));
    stdout(&exec(&file, "web", &["true"]));

    // The kernel frees programs and maps after a grace period.
    wait_for("the kernel has freed everything", || in_kernel() == before);
    assert_eq!(exec_cgroups(), cgroups_before);
}
