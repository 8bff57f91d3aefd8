//! `--eject-after`: endpoints that do not answer are taken out, and tried again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{net::SocketAddr, process::Command};

use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{script, stdout},
    is_root,
    mesh::Mesh,
    server::Server,
    tcproute::{Daemon, binary},
    wait_for,
};

/// A route to the backendRef `x` with two endpoints and to `y` with one.
struct Setup {
    dialled: SocketAddr,
    endpoints: [SocketAddr; 3],
    mesh: Mesh,
    cgroup: TestCgroup,
}

impl Setup {
    fn new() -> Self {
        let net = Loopback::claim();
        let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
        let endpoints = [1, 2, 3].map(|last| SocketAddr::from((net.ip(1, last), 5432)));
        let mut mesh = Mesh::new();
        mesh.outbound("db", dialled).split("db", &[("x", 1), ("y", 1)]);
        mesh.endpoint("db", "x", endpoints[0]).endpoint("db", "x", endpoints[1]).endpoint(
            "db",
            "y",
            endpoints[2],
        );
        Self { dialled, endpoints, mesh, cgroup: TestCgroup::create() }
    }

    fn daemon(&self, more: &[&str]) -> Daemon {
        let workloads = [("web", self.cgroup.path())];
        Daemon::start_with(&mut Command::new(binary()), &self.mesh.file(), &workloads, more)
    }

    /// So many connections: how many were refused.
    fn refused(&self, count: u32) -> u32 {
        let (ip, port) = (self.dialled.ip(), self.dialled.port());
        let body = format!(
            "
refused = 0
for _ in range({count}):
    try: dial('{ip}', {port}).close()
    except ConnectionRefusedError: refused += 1
print(refused)
"
        );
        let output = self.cgroup.command("python3").args(["-SEc", &script(&body)]).output().unwrap();
        stdout(&output).trim().parse().unwrap()
    }
}

fn ejected(daemon: &Daemon) -> Vec<String> {
    let status = daemon.json("/v1/status");
    let ejected = status["ejected"].as_array().unwrap();
    ejected.iter().map(|out| out["endpoint"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_dead_endpoint_is_taken_out_and_is_back_when_it_answers() {
    if !is_root("a_dead_endpoint_is_taken_out_and_is_back_when_it_answers") {
        return;
    }
    let setup = Setup::new();
    let [_, dead, _] = setup.endpoints;
    let _up = [setup.endpoints[0], setup.endpoints[2]]
        .map(|address| Server::start((address.ip(), address.port()), "up"));
    let daemon = setup.daemon(&["--selection", "even", "--eject-after", "3", "--eject-for", "2"]);
    // On a slow machine it may be tried again meanwhile, but it stays out longer each time.
    wait_for("it is out, and its share goes to the other endpoint of its backendRef", || {
        setup.refused(20);
        let ejections = daemon.metric("tcproute_ejections_total");
        let is_out = || ejected(&daemon) == [dead.to_string()];
        if !is_out() {
            return false;
        }
        let attempted = || {
            let backends = daemon.json("/v1/outcomes")[0]["routes"][0]["backends"].clone();
            [0, 1].map(|backend| backends[backend]["outcomes"]["attempted"].as_u64().unwrap())
        };
        let before = attempted();
        let refused = setup.refused(40);
        let after = attempted();
        let table = daemon.status(&[]).stdout;
        let gauge = daemon.metric("tcproute_ejected_endpoints");
        if !is_out() || daemon.metric("tcproute_ejections_total") != ejections {
            return false;
        }
        assert_eq!((refused, gauge), (0, 1));
        assert!(String::from_utf8_lossy(&table).contains("TAKEN OUT"));
        assert_eq!([after[0] - before[0], after[1] - before[1]], [20, 20]);
        true
    });
    let _dead = Server::start((dead.ip(), dead.port()), "back");
    wait_for("it is back", || ejected(&daemon).is_empty());
    assert_eq!(setup.refused(40), 0);
}

#[test]
fn when_all_endpoints_of_a_backend_ref_are_dead_all_are_tried() {
    if !is_root("when_all_endpoints_of_a_backend_ref_are_dead_all_are_tried") {
        return;
    }
    let setup = Setup::new();
    let y = setup.endpoints[2];
    let _up = Server::start((y.ip(), y.port()), "y");
    let daemon = setup.daemon(&["--selection", "even", "--eject-after", "2", "--eject-for", "60"]);
    wait_for("both are out", || {
        setup.refused(20);
        ejected(&daemon).len() == 2
    });
    // Never another backendRef: half of all are refused, as by both endpoints.
    assert_eq!(setup.refused(40), 20);
    assert_eq!(daemon.metric("tcproute_ejections_total"), 2);
}

#[test]
fn without_the_option_everyone_stays_in() {
    if !is_root("without_the_option_everyone_stays_in") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon(&["--selection", "even"]);
    assert_eq!(setup.refused(40), 40);
    assert!(ejected(&daemon).is_empty());
    assert!(!daemon.get("/metrics").1.contains("tcproute_ejections_total"));
    let usage =
        Command::new(binary()).args(["run", "--resources", "x", "--eject-for", "5"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}
