//! A workload that dials what answers, what is closed, and what has no endpoint.

use std::{net::SocketAddr, ops::Deref, process::Command};

use serde_json::Value;
use tcproute_tests::{
    Loopback,
    routes::ThreeEnds,
    tcproute::{Daemon, binary},
    wait_for,
};

pub(crate) struct Setup {
    ends: ThreeEnds,
    /// Where a collector may listen.
    pub(crate) collector: SocketAddr,
}

impl Deref for Setup {
    type Target = ThreeEnds;

    fn deref(&self) -> &ThreeEnds {
        &self.ends
    }
}

impl Setup {
    pub(crate) fn new() -> Self {
        let net = Loopback::claim();
        Self { ends: ThreeEnds::new(net), collector: (net.ip(9, 1), 4318).into() }
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

    /// What has no endpoint, so often.
    pub(crate) fn dial_nobody(&self, times: u32) {
        let (ip, port) = (self.nobody.ip(), self.nobody.port());
        self.python(&format!(
            "\ns = socket.socket()\nfor _ in range({times}): s.connect_ex(('{ip}', {port}))\n"
        ));
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
