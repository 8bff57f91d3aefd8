//! A whole life of the daemon and of `exec` leaves no program, map, link, cgroup or pin. Alone in its file,
//! and so in its process: other tests would be counted, too.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{array, collections::BTreeSet, fs, process::Command};

use serde_json::Value;
use tcproute_tests::{
    Loopback,
    bpftool::list,
    cgroup,
    cgroup::TestCgroup,
    client::{ask, stdout},
    is_root,
    routes::OneBackend,
    tcproute::{Daemon, binary, exec},
    wait_for,
};

const KINDS: [&str; 3] = ["prog", "map", "link"];

/// The ids of the programs, maps and links of ours that the kernel has. Ids, not a count: it may still be freeing
/// those of the test that ran before.
fn in_kernel() -> [BTreeSet<u64>; 3] {
    let ids = |kind: &str, is_ours: &dyn Fn(&Value) -> bool| {
        let all = list(kind);
        all.iter().filter(|it| is_ours(it)).map(|it| it["id"].as_u64().unwrap()).collect()
    };
    let named = |names: &'static [&str]| move |it: &Value| names.iter().any(|name| it["name"] == *name);
    [
        ids(
            KINDS[0],
            &named(&["connect4", "connect6", "getpeername4", "getpeername6", "sock_release", "sock_ops"]),
        ),
        ids(
            KINDS[1],
            &named(&[
                "routes",
                "backends",
                "endpoints",
                "connections",
                "workloads",
                "outcomes",
                "turns",
                "cursors",
            ]),
        ),
        ids(KINDS[2], &|it| it["type"] == "cgroup"),
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
    let OneBackend { dialled, mesh, backend: _backend } = OneBackend::new(Loopback::claim());
    let file = mesh.file();
    let (before, cgroups_before) = (in_kernel(), exec_cgroups());

    let cgroup = TestCgroup::create();
    let mut daemon = Daemon::start(&file, &[("web", cgroup.path())]);
    let during = in_kernel();
    let made: [BTreeSet<u64>; 3] = array::from_fn(|kind| &during[kind] - &before[kind]);
    for (kind, made) in KINDS.iter().zip(&made) {
        println!("{kind}: {made:?}");
        assert_eq!(made.len(), if *kind == "map" { 8 } else { 6 }, "{kind}");
    }
    assert_eq!(ask(&cgroup, dialled, 100), [("backend".to_owned(), 100)].into());
    assert_eq!(daemon.stop(), Some(0));
    let mut detach = Command::new(binary());
    stdout(&detach.arg("detach").arg("--bpffs").arg(daemon.bpffs.path()).output().unwrap());
    stdout(&exec(&file, "web", &["true"]));

    // The kernel frees programs and maps after a grace period.
    wait_for("the kernel has freed everything", || {
        in_kernel().iter().zip(&before).all(|(now, before)| now.is_subset(before))
    });
    assert_eq!(exec_cgroups(), cgroups_before);
}
