//! A workload that dials what answers, what is closed, and what has no endpoint.

use std::{net::SocketAddr, process::Command};

use serde_json::Value;
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{script, stdout},
    mesh::Mesh,
    server::Server,
    tcproute::{Daemon, binary},
    wait_for,
};

pub(crate) struct Setup {
    pub(crate) up: SocketAddr,
    pub(crate) closed: SocketAddr,
    pub(crate) nobody: SocketAddr,
    pub(crate) backend: Server,
    /// Where a collector may listen.
    pub(crate) collector: SocketAddr,
    cgroup: TestCgroup,
    mesh: Mesh,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let net = Loopback::claim();
        let [up, closed, nobody] = [1, 2, 3].map(|last| SocketAddr::from((net.ip(0, last), 5432)));
        let backend = Server::start((net.ip(1, 1), 0), "backend");
        let mut mesh = Mesh::new();
        mesh.outbound("up", up).split("up", &[("x", 1)]).endpoint("up", "x", backend.address());
        mesh.outbound("closed", closed).endpoint("closed", "x", (net.ip(1, 2), 1).into());
        mesh.outbound("nobody", nobody);
        let collector = (net.ip(9, 1), 4318).into();
        Self { up, closed, nobody, backend, collector, cgroup: TestCgroup::create(), mesh }
    }

    /// One that tells of connections at this URL.
    pub(crate) fn daemon(&self, url: &str, more: &[&str]) -> Daemon {
        let daemon = self.start(&[&["--otlp", url], more].concat());
        wait_for("it listens", || daemon.metric("tcproute_trace_listeners") == 1);
        daemon
    }

    /// One that does not.
    pub(crate) fn plain(&self) -> Daemon {
        self.start(&[])
    }

    fn start(&self, more: &[&str]) -> Daemon {
        let (workloads, more) = ([("web", self.cgroup.path())], [&["--sidecar", "off"], more].concat());
        Daemon::start_with(&mut Command::new(binary()), &self.mesh.file(), &workloads, &more)
    }

    /// To the collector of this setup.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.collector)
    }

    /// Each of them once; the pid of who has dialled.
    pub(crate) fn dial(&self, addresses: &[SocketAddr]) -> u32 {
        let dial = |address: &SocketAddr| {
            let (ip, port) = (address.ip(), address.port());
            format!("\ntry: dial('{ip}', {port}).close()\nexcept OSError: pass\n")
        };
        let body: String = addresses.iter().map(dial).collect();
        self.python(&(body + "print(os.getpid())")).trim().parse().unwrap()
    }

    /// What has no endpoint, so often.
    pub(crate) fn dial_nobody(&self, times: u32) {
        let (ip, port) = (self.nobody.ip(), self.nobody.port());
        self.python(&format!(
            "\ns = socket.socket()\nfor _ in range({times}): s.connect_ex(('{ip}', {port}))\n"
        ));
    }

    fn python(&self, body: &str) -> String {
        stdout(&self.cgroup.command("python3").args(["-SEc", &script(body)]).output().unwrap())
    }
}

/// What the daemon tells of its spans.
pub(crate) fn told(daemon: &Daemon) -> Value {
    daemon.json("/v1/status")["otlp"].clone()
}

/// How many spans have come to this.
pub(crate) fn spans(daemon: &Daemon, result: &str) -> u64 {
    daemon.metric(&format!("tcproute_otlp_spans_total{{result=\"{result}\"}}"))
}
