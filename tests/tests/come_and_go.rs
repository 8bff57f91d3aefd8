//! Cgroups that come and go while the daemon runs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{script, stdout},
    is_root,
    routes::OneBackend,
    server::Server,
    tcproute::{Daemon, binary, run_arguments},
    wait_for,
};

/// A route, and a cgroup in which those of workloads come and go.
struct Setup {
    route: OneBackend,
    _dialled: Server,
    slice: TestCgroup,
}

impl Setup {
    fn new() -> Self {
        let route = OneBackend::new(Loopback::claim());
        let dialled = Server::start(route.dialled, "dialled");
        Self { route, _dialled: dialled, slice: TestCgroup::create() }
    }

    fn daemon(&self, cgroup: &str) -> Daemon {
        Daemon::start(&self.route.mesh.file(), &[("web", &self.slice.path().join(cgroup))])
    }

    fn answers(&self, cgroup: &TestCgroup) -> String {
        let (ip, port) = (self.route.dialled.ip(), self.route.dialled.port());
        let client = script(&format!("print(name(dial('{ip}', {port})))"));
        stdout(&cgroup.command("python3").args(["-SEc", &client]).output().unwrap())
    }
}

fn id(cgroup: &Path) -> String {
    fs::metadata(cgroup).unwrap().ino().to_string()
}

/// The cgroups that have pinned links.
fn pinned(daemon: &Daemon) -> Vec<String> {
    let links = daemon.bpffs.path().join("tcproute/links");
    let mut names: Vec<String> = fs::read_dir(links)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn attached(daemon: &Daemon, count: u64) {
    wait_for("the programs are attached", || {
        daemon.metric("tcproute_workloads_attached") == count && daemon.metric("tcproute_workloads") == count
    });
}

#[test]
fn a_cgroup_that_appears_is_attached_and_one_that_goes_is_forgotten() {
    if !is_root("a_cgroup_that_appears_is_attached_and_one_that_goes_is_forgotten") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon("later.service");
    let named = setup.slice.path().join("later.service");
    let waiting = |daemon: &Daemon| daemon.json("/v1/status")["waiting"].as_array().unwrap().len();
    wait_for("status tells of the cgroup", || {
        daemon.json("/v1/status")["waiting"][0]["cgroup"] == named.to_str().unwrap()
    });
    assert!(stdout(&daemon.status(&[])).contains("waiting"));
    attached(&daemon, 0);
    let before = daemon.metric("tcproute_map_entries{map=\"routes\"}");
    // Another one of the same path is another cgroup.
    for _ in 0..2 {
        let cgroup = setup.slice.child("later.service");
        attached(&daemon, 1);
        assert_eq!(waiting(&daemon), 0);
        assert_eq!(pinned(&daemon), [id(cgroup.path())]);
        assert_eq!(setup.answers(&cgroup), "backend");
        let nested = cgroup.child("nested");
        assert_eq!(setup.answers(&nested), "backend", "nested cgroups inherit");
        drop((nested, cgroup));
        attached(&daemon, 0);
        assert_eq!(waiting(&daemon), 1);
        assert_eq!(pinned(&daemon), [""; 0]);
        assert_eq!(daemon.metric("tcproute_map_entries{map=\"routes\"}"), before);
    }
}

#[test]
fn a_pattern_stands_for_all_that_match_and_what_overlaps_is_left_out() {
    if !is_root("a_pattern_stands_for_all_that_match_and_what_overlaps_is_left_out") {
        return;
    }
    let setup = Setup::new();
    let daemon = Daemon::start(
        &setup.route.mesh.file(),
        &[
            ("web", &setup.slice.path().join("web@*.service")),
            ("web", &setup.slice.path().join("web@1.service/inner")),
        ],
    );
    let other = setup.slice.child("other.service");
    let [one, two] = ["web@1.service", "web@2.service"].map(|name| setup.slice.child(name));
    attached(&daemon, 2);
    assert_eq!(setup.answers(&one), "backend");
    assert_eq!(setup.answers(&two), "backend");
    assert_eq!(setup.answers(&other), "dialled");
    assert_eq!(daemon.json("/v1/routes").as_array().unwrap().len(), 1, "of one Dataplane");
    let inner = one.child("inner");
    let warned = || {
        let warnings = daemon.json("/v1/status")["warnings"].to_string();
        warnings.contains("web@1.service/inner is not attached: it overlaps")
    };
    wait_for("the overlap is told", warned);
    attached(&daemon, 2);
    assert_eq!(setup.answers(&inner), "backend");
    drop(inner);
    wait_for("it is over", || !warned());
    drop(one);
    attached(&daemon, 1);
    assert_eq!(setup.answers(&two), "backend");
}

#[test]
fn nothing_is_left_of_fifty_that_came_and_went() {
    if !is_root("nothing_is_left_of_fifty_that_came_and_went") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon("web@*.service");
    let entries = || {
        ["routes", "backends", "endpoints"]
            .map(|map| daemon.metric(&format!("tcproute_map_entries{{map=\"{map}\"}}")))
    };
    assert_eq!(entries(), [0, 0, 0]);
    for number in 0..50 {
        let cgroup = setup.slice.child(&format!("web@{number}.service"));
        wait_for("the programs are attached", || pinned(&daemon) == [id(cgroup.path())]);
        drop(cgroup);
        wait_for("it is forgotten", || pinned(&daemon).is_empty());
    }
    attached(&daemon, 0);
    wait_for("the maps are as before", || entries() == [0, 0, 0]);
}

/// A daemon that is killed, and another one that goes on.
#[test]
fn what_happens_while_no_daemon_runs_is_made_up_for() {
    if !is_root("what_happens_while_no_daemon_runs_is_made_up_for") {
        return;
    }
    let setup = Setup::new();
    let [stays, goes] = ["web@1.service", "web@2.service"].map(|name| setup.slice.child(name));
    let mut first = setup.daemon("web@*.service");
    attached(&first, 2);
    assert_eq!(first.stop(), Some(0));
    let gone = id(goes.path());
    drop(goes);
    let comes = setup.slice.child("web@3.service");
    assert!(pinned(&first).contains(&gone));

    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let pattern: PathBuf = setup.slice.path().join("web@*.service");
    let mut command = Command::new(binary());
    let socket = directory.path().join("admin.sock");
    let workloads = [("web", pattern.as_path())];
    let second =
        run_arguments(&mut command, &setup.route.mesh.file(), first.bpffs.path(), &socket, &workloads);
    let mut second = second.stdin(Stdio::null()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let mut expected = [id(stays.path()), id(comes.path())];
    expected.sort();
    let is_there = || pinned(&first) == expected;
    let deadline = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("the links are those of the cgroups that are there", is_there);
        wait_for("it is in force", || fs::read_to_string(&log).unwrap().contains("routes in force"));
        assert_eq!(setup.answers(&stays), "backend");
        assert_eq!(setup.answers(&comes), "backend");
    }));
    second.kill().unwrap();
    second.wait().unwrap();
    print!("{}", fs::read_to_string(&log).unwrap());
    deadline.unwrap();
}
