//! An object that cannot be used is refused alone: everything else is in force, changes included.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Output},
    rc::Rc,
};

use serde_json::{Value, json};
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{ask, stdout},
    is_root,
    mesh::Mesh,
    replace,
    server::Server,
    tcproute::{Bpffs, Daemon, binary, run_arguments},
    wait_for,
};

/// Two versions of a service, of which a policy chooses one.
struct Setup {
    dialled: SocketAddr,
    a: Server,
    b: Server,
    cgroup: TestCgroup,
    directory: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        let net = Loopback::claim();
        let setup = Self {
            dialled: (net.ip(0, 1), 5432).into(),
            a: Server::start((net.ip(1, 1), 0), "a"),
            b: Server::start((net.ip(1, 2), 0), "b"),
            cgroup: TestCgroup::create(),
            directory: tempfile::tempdir().unwrap(),
        };
        let mut mesh = Mesh::new();
        mesh.outbound("db", setup.dialled);
        mesh.endpoint("db", "a", setup.a.address()).endpoint("db", "b", setup.b.address());
        setup.write("mesh.yaml", &mesh.text());
        setup
    }

    fn write(&self, name: &str, text: &str) {
        replace(&self.directory.path().join(name), text);
    }

    fn route(&self, version: &str) {
        self.write("route.yaml", &Self::text(version));
    }

    fn text(version: &str) -> String {
        Mesh::new()
            .split("db", &[(version, 1)])
            .text()
            .split("---\ntype: Dataplane")
            .next()
            .unwrap()
            .to_owned()
    }

    fn broken(version: &str) -> String {
        Self::text(version).replace("weight", "wieght")
    }

    fn daemon(&self) -> Daemon {
        Daemon::start(self.directory.path(), &[("web", self.cgroup.path())])
    }

    fn names(&self) -> Vec<String> {
        ask(&self.cgroup, self.dialled, 40).into_keys().collect()
    }
}

fn rejected(daemon: &Daemon) -> Vec<Value> {
    daemon.json("/v1/status")["rejected"].as_array().unwrap().clone()
}

const METRIC: &str = "tcproute_rejected{source=\"files\",kind=\"MeshTCPRoute\"}";

#[test]
fn an_object_keeps_its_last_good_form_and_the_others_go_on() {
    if !is_root("an_object_keeps_its_last_good_form_and_the_others_go_on") {
        return;
    }
    let setup = Setup::new();
    setup.route("a");
    let daemon = setup.daemon();
    assert_eq!(setup.names(), ["a"]);
    // Of one file, a policy is wrong and the endpoint it leads to has moved.
    let moved = Server::start((setup.a.address().ip(), 0), "moved");
    let mut mesh = Mesh::new();
    mesh.outbound("db", setup.dialled).document(&Setup::broken("b"));
    mesh.endpoint("db", "a", moved.address()).endpoint("db", "b", setup.b.address());
    fs::remove_file(setup.directory.path().join("route.yaml")).unwrap();
    daemon.wait_for_line("new routes in force");
    let mut both = Mesh::new();
    both.outbound("db", setup.dialled).document(&Setup::text("a"));
    both.endpoint("db", "a", setup.a.address()).endpoint("db", "b", setup.b.address());
    setup.write("mesh.yaml", &both.text());
    daemon.wait_for_line("new routes in force");
    assert_eq!(setup.names(), ["a"]);
    setup.write("mesh.yaml", &mesh.text());
    let line = daemon.wait_for_line("MeshTCPRoute split-db of mesh default cannot be used");
    assert!(line.contains("what it was before stays"), "{line}");
    daemon.wait_for_line("new routes in force");
    assert_eq!(setup.names(), ["moved"]);
    let all = rejected(&daemon);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["subject"], "MeshTCPRoute split-db of mesh default");
    assert_eq!((&all[0]["kind"], &all[0]["kept"]), (&json!("MeshTCPRoute"), &json!(true)));
    assert!(all[0]["violations"][0].as_str().unwrap().contains("did you mean `weight`?"), "{all:?}");
    assert_eq!(daemon.metric(METRIC), 1);
    assert_eq!(daemon.json("/v1/status")["sources"][0]["name"], "files");
    let table = stdout(&daemon.status(&[]));
    for part in ["MeshTCPRoute split-db of mesh default", "its last good form", "did you mean `weight`?"] {
        assert!(table.contains(part), "{part:?} is not in {table}");
    }
    // Since the same time, whatever else changes; told in the log once.
    setup.write("mesh.yaml", &(mesh.text() + "# more\n"));
    wait_for("it is read", || daemon.json("/v1/status")["lastReconcile"]["result"] == "unchanged");
    assert_eq!(rejected(&daemon)[0]["since"], all[0]["since"]);
    setup.write("mesh.yaml", &mesh.text().replace("wieght", "weight"));
    daemon.wait_for_line("MeshTCPRoute split-db of mesh default is not rejected any more");
    daemon.wait_for_line("new routes in force");
    assert_eq!(setup.names(), ["b"]);
    wait_for("nothing is rejected", || rejected(&daemon).is_empty());
    assert!(!daemon.get("/metrics").1.contains("tcproute_rejected{"), "no series without a rejection");
}

#[test]
fn a_daemon_starts_with_what_is_usable() {
    if !is_root("a_daemon_starts_with_what_is_usable") {
        return;
    }
    let setup = Setup::new();
    setup.write("route.yaml", &Setup::broken("a"));
    setup.write("half.yaml", "type: Mesh\nname: [\n");
    let daemon = setup.daemon();
    assert_eq!(setup.names(), ["a", "b"], "as without the policy");
    let all = rejected(&daemon);
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|rejected| rejected["kept"] == false), "{all:?}");
    assert_eq!(daemon.metric(METRIC), 1);
    assert_eq!(daemon.metric("tcproute_rejected{source=\"files\",kind=\"unknown\"}"), 1);
    setup.route("b");
    daemon.wait_for_line("new routes in force");
    assert_eq!(setup.names(), ["b"]);
    assert_eq!(rejected(&daemon).len(), 1);
}

/// A path that was named may come later.
#[test]
fn a_path_that_is_not_there_is_waited_for() {
    if !is_root("a_path_that_is_not_there_is_waited_for") {
        return;
    }
    let setup = Setup::new();
    let late = setup.directory.path().join("late");
    let mesh = setup.directory.path().join("mesh.yaml");
    let more = [Path::new("--resources"), &late];
    let workloads = [("web", setup.cgroup.path())];
    let daemon = Daemon::start_with(&mut Command::new(binary()), &mesh, &workloads, &more);
    let source = || daemon.json("/v1/status")["sources"][0].clone();
    assert!(source()["failing"]["why"].as_str().unwrap().contains("No such file"), "{}", source());
    assert_eq!(setup.names(), ["a", "b"]);
    fs::create_dir(&late).unwrap();
    fs::write(late.join("route.yaml"), Setup::text("b")).unwrap();
    daemon.wait_for_line("new routes in force");
    assert_eq!(setup.names(), ["b"]);
    wait_for("it is well", || source()["failing"].is_null());
}

#[test]
fn strict_refuses_to_start() {
    if !is_root("strict_refuses_to_start") {
        return;
    }
    let setup = Setup::new();
    setup.write("route.yaml", &Setup::broken("a"));
    let bpffs = Bpffs::mount();
    let run = |more: &[&str]| -> Output {
        let socket = setup.directory.path().join("run/admin.sock");
        let workloads = [("web", setup.cgroup.path())];
        let mut command = Command::new(binary());
        run_arguments(&mut command, setup.directory.path(), bpffs.path(), &socket, &workloads).args(more);
        command.output().unwrap()
    };
    let output = run(&["--strict"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("error: ") && stderr.contains("did you mean `weight`?"), "{stderr}");
    assert!(!bpffs.path().join("tcproute").exists(), "nothing was begun");
}

/// What a later version has dumped has fields that are not known.
#[test]
fn a_dump_is_read_leniently() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dump.yaml");
    fs::write(&file, Mesh::new().text().replace("port: 80", "port: 80, later: {a: 1}")).unwrap();
    let run = |command: &[&str], more: &[&str]| {
        let mut tcproute = Command::new(binary());
        tcproute.args(command).arg(&file).args(more).output().unwrap()
    };
    for (command, more) in [
        (&["validate"][..], &[][..]),
        (&["resolve", "--resources"], &["--all"]),
        (&["diff", file.to_str().unwrap()], &[]),
    ] {
        assert_eq!(run(command, more).status.code(), Some(2), "{command:?}");
        let lenient = run(command, &[more, &["--lenient"]].concat());
        assert_eq!(lenient.status.code(), Some(0), "{command:?}: {lenient:?}");
    }
}

/// A daemon that is started anew while the files are not there does not know what its workloads shall have: they keep
/// it.
#[test]
fn workloads_keep_their_routes_while_a_new_daemon_has_not_seen_their_dataplane() {
    if !is_root("workloads_keep_their_routes_while_a_new_daemon_has_not_seen_their_dataplane") {
        return;
    }
    let setup = Setup::new();
    setup.route("b");
    let bpffs = Rc::new(Bpffs::mount());
    let mesh = setup.directory.path().join("mesh.yaml");
    let text = fs::read_to_string(&mesh).unwrap();
    let start = || {
        let workloads = [("web", setup.cgroup.path())];
        let mut command = Command::new(binary());
        Daemon::start_on(&bpffs, &mut command, setup.directory.path(), &workloads, &["--drain", "0.1"])
    };
    drop(start());
    fs::remove_file(&mesh).unwrap();
    let daemon = start();
    assert_eq!(setup.names(), ["b"]);
    let missing = daemon.json("/v1/status")["warnings"].to_string();
    assert!(missing.contains("those that an earlier daemon has left them"), "{missing}");
    // It comes back, and the policy has changed meanwhile.
    setup.route("a");
    setup.write("mesh.yaml", &text);
    daemon.wait_for_line("new routes in force");
    assert_eq!(setup.names(), ["a"]);
}

/// Whether servers take plaintext is not known then.
#[test]
fn nothing_is_routed_in_a_mesh_that_cannot_be_read() {
    if !is_root("nothing_is_routed_in_a_mesh_that_cannot_be_read") {
        return;
    }
    let setup = Setup::new();
    setup.route("a");
    setup.write("default.yaml", "type: Mesh\nname: default\nmtls: {enabledBackend: ca}\n");
    let daemon = setup.daemon();
    let action = || daemon.json("/v1/routes")[0]["routes"][0]["action"].clone();
    assert_eq!(action(), "passthrough");
    let subjects: Vec<Value> = rejected(&daemon).iter().map(|one| one["subject"].clone()).collect();
    assert_eq!(subjects, ["Mesh default"]);
    setup.write("default.yaml", "type: Mesh\nname: default\n");
    daemon.wait_for_line("new routes in force");
    assert_eq!(setup.names(), ["a"]);
    // Then it is known, also while it cannot be read.
    setup.write("default.yaml", "type: Mesh\nname: default\nmtls: {enabledBackend: ca}\n");
    daemon.wait_for_line("Mesh default cannot be used");
    assert_eq!((action(), setup.names()), (json!("route"), vec!["a".to_owned()]));
}
