//! `tcproute stats` and the metrics of backendRefs: what they tell of a split is what the clients saw.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Stdio},
};

use serde_json::Value;
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{ask, script, stdout},
    is_root,
    mesh::Mesh,
    process::Process,
    server::Server,
    tcproute::{Daemon, binary},
    wait_for,
};

/// `(version, weight)`; `a` and `b` are served, and `c` has no endpoint.
type Weights = [(&'static str, u32); 3];

struct Setup {
    dialled: SocketAddr,
    servers: [Server; 2],
    mesh: Mesh,
    cgroup: TestCgroup,
}

impl Setup {
    fn new(weights: Weights) -> Self {
        let net = Loopback::claim();
        let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
        let servers = [Server::start((net.ip(1, 1), 0), "a"), Server::start((net.ip(1, 2), 0), "b")];
        let mesh = mesh(dialled, &servers, weights);
        Self { dialled, servers, mesh, cgroup: TestCgroup::create() }
    }

    fn daemon(&self, more: &[&str]) -> Daemon {
        let workloads = [("web", self.cgroup.path())];
        Daemon::start_with(&mut Command::new(binary()), &self.mesh.file(), &workloads, more)
    }

    fn connect(&self, count: u32) -> BTreeMap<String, u64> {
        ask(&self.cgroup, self.dialled, count)
    }
}

fn mesh(dialled: SocketAddr, servers: &[Server; 2], weights: Weights) -> Mesh {
    let mut mesh = Mesh::new();
    mesh.outbound("db", dialled).split("db", &weights);
    mesh.endpoint("db", "a", servers[0].address()).endpoint("db", "b", servers[1].address());
    mesh
}

fn route(daemon: &Daemon) -> Value {
    let workloads: Value = serde_json::from_str(&daemon.stats(&["--output", "json"])).unwrap();
    workloads[0]["routes"][0].clone()
}

#[test]
fn the_observed_split_is_what_the_clients_saw_since_the_weights_are_what_they_are() {
    if !is_root("the_observed_split_is_what_the_clients_saw_since_the_weights_are_what_they_are") {
        return;
    }
    let setup = Setup::new([("a", 1), ("b", 1), ("c", 0)]);
    let daemon = setup.daemon(&[]);
    assert!(daemon.stats(&[]).contains("too few connections to tell"));
    let seen = setup.connect(200);
    let before = route(&daemon);
    assert_eq!(before["split"]["chosen"], serde_json::json!([seen["a"], seen["b"], 0]));
    assert!(before["split"]["chance"].as_f64().unwrap() > 1e-6, "{before}");
    assert!(daemon.stats(&["--service", "db"]).contains("is explainable by chance"));
    assert_eq!(daemon.stats(&["--service", "other"]), "no routes");

    let changed = mesh(setup.dialled, &setup.servers, [("a", 1), ("b", 0), ("c", 0)]);
    fs::rename(changed.file(), setup.mesh.file_path()).unwrap();
    wait_for("the new weights are in force", || route(&daemon)["backends"][1]["weight"] == 0);
    setup.connect(20);
    let after = route(&daemon);
    assert_eq!(after["split"]["chosen"], serde_json::json!([20, 0, 0]));
    assert_eq!(after["backends"][0]["outcomes"]["established"], 20, "a new weight begins a new comparison");
    assert_eq!(after["backends"][1]["outcomes"]["established"], 0);
    assert_eq!(after["backends"][0]["total"]["established"], seen["a"] + 20);
    assert!(after["since"].as_str().unwrap() > before["since"].as_str().unwrap(), "{after}");
    let labels = format!(r#"service="db",dialled="{}",backend="MeshServiceSubset db"#, setup.dialled);
    let metrics = daemon.get("/metrics").1;
    let told = |what: &str| -> Vec<String> {
        let lines = metrics.lines().filter(|line| line.contains(&labels) && line.contains(what));
        lines.filter_map(|line| line.rsplit_once(' ').map(|(_, value)| value.to_owned())).collect()
    };
    let counted = [seen["a"] + 20, seen["b"], 0].map(|count| count.to_string());
    assert_eq!(told(r#"outcome="established""#), counted, "counters go on: {metrics}");
    assert_eq!(told("tcproute_backend_weight{"), ["1", "0", "0"]);
    assert_eq!(told("tcproute_backend_share_observed{"), ["1.0", "0.0", "0.0"]);
}

#[test]
fn what_is_printed_again_and_again_is_a_stream_of_documents() {
    if !is_root("what_is_printed_again_and_again_is_a_stream_of_documents") {
        return;
    }
    let setup = Setup::new([("a", 1), ("b", 1), ("c", 0)]);
    let daemon = setup.daemon(&[]);
    let mut stats = Command::new(binary());
    stats
        .arg("stats")
        .arg("--admin-socket")
        .arg(daemon.admin_socket())
        .args(["--output", "yaml", "--watch", "1"]);
    let mut child = stats.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let _stats = Process(child);
    let mut begun = 0;
    let text: Vec<String> = lines
        .take_while(|line| {
            begun += u32::from(line == "---");
            begun < 3
        })
        .collect();
    let text = text.join("\n");
    let documents: Vec<&str> = text.split("---\n").skip(1).collect();
    assert_eq!(documents.len(), 2, "{text}");
    for document in documents {
        let value: serde_yaml::Value = serde_yaml::from_str(document).unwrap();
        assert_eq!(value[0]["routes"][0]["service"], "db", "{document}");
    }
}

#[test]
fn who_may_not_ask_is_told_who_may() {
    if !is_root("who_may_not_ask_is_told_who_may") {
        return;
    }
    let setup = Setup::new([("a", 1), ("b", 1), ("c", 0)]);
    let daemon = setup.daemon(&[]);
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("tcproute");
    fs::copy(binary(), &program).unwrap();
    let mut stats = Command::new(program);
    let stats = stats.arg("stats").arg("--admin-socket").arg(daemon.admin_socket()).uid(65534).gid(65534);
    let said = String::from_utf8(stats.output().unwrap().stderr).unwrap();
    assert!(said.contains("is only for the user of the daemon: ask as root"), "{said}");
}

#[test]
fn what_is_refused_while_no_backend_ref_has_a_weight_counts() {
    if !is_root("what_is_refused_while_no_backend_ref_has_a_weight_counts") {
        return;
    }
    let setup = Setup::new([("a", 0), ("b", 0), ("c", 0)]);
    let daemon = setup.daemon(&["--log-decisions"]);
    let refused = |count| {
        let (ip, port) = (setup.dialled.ip(), setup.dialled.port());
        let client = script(&format!(
            "
for _ in range({count}):
    try: dial('{ip}', {port}).close()
    except (ConnectionRefusedError, PermissionError): pass
"
        ));
        stdout(&setup.cgroup.command("python3").args(["-SEc", &client]).output().unwrap());
    };
    refused(7);
    assert_eq!((&route(&daemon)["unweighted"], &route(&daemon)["unweightedTotal"]), (&7.into(), &7.into()));
    let table = daemon.stats(&[]);
    assert!(table.contains("7 refused: no backendRef has a weight"), "{table}");
    let metric = format!(r#"dialled="{}",backend="",outcome="no_endpoint"}} 7"#, setup.dialled);
    let metrics = daemon.get("/metrics").1;
    assert!(metrics.contains(&metric), "{metrics}");

    let weighted = mesh(setup.dialled, &setup.servers, [("a", 1), ("b", 0), ("c", 0)]);
    fs::rename(weighted.file(), setup.mesh.file_path()).unwrap();
    wait_for("the new weights are in force", || route(&daemon)["backends"][0]["weight"] == 1);
    setup.connect(3);
    let after = route(&daemon);
    assert_eq!((&after["unweighted"], &after["split"]["chosen"]), (&0.into(), &serde_json::json!([3, 0, 0])));
}

#[test]
fn what_was_refused_for_want_of_endpoints_counts_for_its_backend_ref() {
    if !is_root("what_was_refused_for_want_of_endpoints_counts_for_its_backend_ref") {
        return;
    }
    let setup = Setup::new([("a", 1), ("b", 1), ("c", 2)]);
    let daemon = setup.daemon(&["--selection", "even"]);
    let (ip, port) = (setup.dialled.ip(), setup.dialled.port());
    let client = script(&format!(
        "
for _ in range(40):
    try: dial('{ip}', {port}).close()
    except (ConnectionRefusedError, PermissionError): pass
"
    ));
    stdout(&setup.cgroup.command("python3").args(["-SEc", &client]).output().unwrap());
    let route = route(&daemon);
    assert_eq!(route["split"]["chosen"], serde_json::json!([10, 10, 20]));
    assert_eq!(route["backends"][2]["outcomes"]["noEndpoint"], 20);
    assert_eq!(route["backends"][2]["outcomes"]["attempted"], 0);
    let table = daemon.stats(&[]);
    assert!(table.contains("in turns: at most 0.0 connections from the exact share"), "{table}");
}
