//! A whole life of the daemon and of `exec` leaves no program, map, link, cgroup or pin. Alone in its file,
//! and so in its process: other tests would be counted, too.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{array, collections::BTreeSet, fs, process::Command};

use tcproute_tests::{
    Loopback, cgroup,
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
fn in_kernel() -> [BTreeSet<u32>; 3] {
    let ids = |kind: &str, names: &[&str]| {
        let list = stdout(&Command::new("bpftool").args([kind, "list"]).output().unwrap());
        let ours = list.lines().filter(|line| names.iter().any(|name| line.contains(name)));
        ours.map(|line| line.split(':').next().unwrap().parse().unwrap()).collect()
    };
    [
        ids(
            KINDS[0],
            &["name connect4 ", "name connect6 ", "name getpeername", "name sock_release ", "name sock_ops "],
        ),
        ids(
            KINDS[1],
            &[
                "name routes ",
                "name backends ",
                "name endpoints ",
                "name connections ",
                "name workloads ",
                "name outcomes ",
                "name turns ",
                "name cursors ",
            ],
        ),
        ids(KINDS[2], &[": cgroup "]),
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
    let made: [BTreeSet<u32>; 3] = array::from_fn(|kind| &during[kind] - &before[kind]);
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
