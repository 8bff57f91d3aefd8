//! A workload that dials a service of two versions, which a control plane knows.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    rc::Rc,
};

use serde_json::Value;
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::ask,
    control_plane::{ControlPlane, Options, Real, Server as OurControlPlane, Version},
    is_root,
    server::Server,
    tcproute::{Bpffs, Daemon, binary},
    wait_for,
};

/// The workload is `web`, and dials `db`, which is `db-1` with version v1 and `db-2` with v2.
pub(crate) struct Setup {
    pub(crate) cgroup: TestCgroup,
    pub(crate) dialled: SocketAddr,
    pub(crate) servers: [Server; 2],
    pub(crate) bpffs: Rc<Bpffs>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let net = Loopback::claim();
        let server = |last: u8| Server::start((net.ip(1, last), 0), &format!("v{last}"));
        Self {
            cgroup: TestCgroup::create(),
            dialled: SocketAddr::from((net.ip(0, 1), 5432)),
            servers: [1, 2].map(server),
            bpffs: Rc::new(Bpffs::mount()),
        }
    }

    /// The Dataplanes, and a policy that leads to v1.
    pub(crate) fn documents(&self) -> String {
        let dialled = self.dialled;
        let outbound =
            format!("{{port: {}, address: {}, tags: {{kuma.io/service: db}}}}", dialled.port(), dialled.ip());
        let web = format!(
            "type: Dataplane\nmesh: default\nname: web\nnetworking:\n  address: 192.0.2.1\n  inbound: [{{port: 1, tags: {{kuma.io/service: web, kuma.io/protocol: tcp}}}}]\n  outbound: [{outbound}]\n"
        );
        let endpoints: Vec<String> =
            (1..).zip(&self.servers).map(|(i, server)| endpoint(i, server)).collect();
        [web, endpoints.join(""), lead(100, 0)].concat()
    }

    /// A daemon that follows a control plane, with all that is asked for before `more`.
    pub(crate) fn start(&self, url: &str, more: &[&str]) -> Daemon {
        let own = ["--poll-interval", "0.1", "--allow-loopback"];
        self.start_with(url, &[&own, more].concat())
    }

    pub(crate) fn start_with(&self, url: &str, more: &[&str]) -> Daemon {
        let workloads = [("web", self.cgroup.path())];
        Daemon::of_control_plane(&self.bpffs, url, &workloads, more)
    }

    /// Waits until all connections lead there.
    pub(crate) fn reach(&self, name: &str) {
        wait_for(&format!("all connections lead to {name}"), || self.reached(20) == [name]);
    }

    /// Who answers so many connections.
    pub(crate) fn reached(&self, count: u32) -> Vec<String> {
        ask(&self.cgroup, self.dialled, count).into_keys().collect()
    }
}

fn endpoint(number: usize, server: &Server) -> String {
    let address = server.address();
    format!(
        "---\ntype: Dataplane\nmesh: default\nname: db-{number}\nnetworking:\n  address: {}\n  inbound: [{{port: {}, tags: {{kuma.io/service: db, version: v{number}, kuma.io/protocol: tcp}}}}]\n",
        address.ip(),
        address.port()
    )
}

/// The policy with these weights of v1 and v2.
pub(crate) fn lead(v1: u32, v2: u32) -> String {
    let subset = |version: &str, weight: u32| {
        format!("{{kind: MeshServiceSubset, name: db, tags: {{version: {version}}}, weight: {weight}}}")
    };
    format!(
        "---\ntype: MeshTCPRoute\nmesh: default\nname: split\nspec:\n  targetRef: {{kind: Mesh}}\n  to:\n    - targetRef: {{kind: MeshService, name: db}}\n      rules: [{{default: {{backendRefs: [{}, {}]}}}}]\n",
        subset("v1", v1),
        subset("v2", v2)
    )
}

/// So many Dataplanes more, which nobody dials; in the order of names they come first.
pub(crate) fn others(server: &OurControlPlane, count: usize) {
    for i in 0..count {
        server.put(&serde_json::json!({
            "type": "Dataplane", "mesh": "default", "name": format!("a-{i:05}"),
            "networking": {"address": "192.0.2.9", "inbound": [{"port": 1, "tags": {"kuma.io/service": "other"}}]}
        }));
    }
}

/// Runs a test against ours in each version, and against the real ones that are there.
pub(crate) fn each(test: &str, run: impl Fn(&dyn ControlPlane)) {
    if !is_root(test) {
        return;
    }
    for version in Version::ALL {
        println!("{test}: ours, as {}", version.number());
        run(&OurControlPlane::start(Options::of(version)));
    }
    for binary in real(test) {
        println!("{test}: {}", binary.display());
        run(&Real::start(&binary).unwrap());
    }
}

/// The binaries of real control planes.
pub(crate) fn real(test: &str) -> Vec<PathBuf> {
    let named = std::env::var_os("TCPROUTE_TEST_KUMA_CP").filter(|named| !named.is_empty());
    match named {
        Some(named) => std::env::split_paths(&named).collect(),
        None => {
            println!("SKIPPED {test}, of a real control plane: TCPROUTE_TEST_KUMA_CP names none");
            Vec::new()
        }
    }
}

/// The control plane among the sources that `status` tells.
pub(crate) fn source(daemon: &Daemon) -> Value {
    let status = daemon.json("/v1/status");
    let sources = status["sources"].as_array().unwrap();
    sources.iter().find(|source| source["name"] == "control-plane").unwrap().clone()
}

/// Why it does not answer.
pub(crate) fn why(daemon: &Daemon) -> Option<String> {
    source(daemon)["failing"]["why"].as_str().map(str::to_owned)
}

/// A command that reads a control plane once.
pub(crate) fn tcproute(arguments: &[&str], url: &str, more: &[&Path]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).args(["--source", "control-plane", "--url", url]).args(more);
    command.output().unwrap()
}

/// How many requests there were for each path, without their queries.
pub(crate) fn asked(server: &OurControlPlane) -> BTreeMap<String, usize> {
    let mut asked = BTreeMap::new();
    for request in server.requests() {
        let path = request.path.split('?').next().unwrap_or_default().to_owned();
        *asked.entry(path).or_default() += 1;
    }
    asked
}
