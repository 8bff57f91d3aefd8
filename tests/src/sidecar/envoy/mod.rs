//! The real Envoy as the sidecar.

mod bootstrap;
mod program;

pub use bootstrap::{Protocol, Service};
pub use program::Program;

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::{Command, Output, Stdio},
    thread,
};

use serde_json::Value;

use super::{Pod, SIDECAR};
use crate::{cgroup::TestCgroup, client::stdout, namespace::Namespace, process::Process, wait_for};

/// Where it is asked, on the pod's loopback.
const ADMIN: u16 = 9901;

/// Last before it, since only root may enter a namespace.
const SETPRIV: &str = "/usr/bin/setpriv";

/// It is killed when this is dropped.
pub struct Envoy(Process);

impl Envoy {
    /// Starts it in a pod and its cgroup as the sidecar's user, and waits until it serves.
    pub fn start(program: &Program, pod: &Pod, cgroup: &TestCgroup, services: &[Service]) -> Self {
        let command = pod.command(Some(cgroup), SIDECAR, SETPRIV);
        let [inside, _] = pod.namespaces();
        Self::serving(program, command, &bootstrap::of(services), inside)
    }

    /// Starts it as a proxy that listens where a service is dialled, and waits until it serves.
    pub fn start_alone(
        program: &Program,
        namespace: &Namespace,
        cgroup: &TestCgroup,
        service: &Service,
    ) -> Self {
        let command = namespace.command_in(cgroup, SETPRIV);
        Self::serving(program, command, &bootstrap::alone(service), namespace)
    }

    fn serving(program: &Program, mut command: Command, config: &Value, namespace: &Namespace) -> Self {
        // A test that is killed leaves nothing behind.
        command.args(["--pdeathsig", "KILL", "/proc/self/fd/0"]);
        // By a descriptor, since only root may get to where it is.
        command.stdin(program.open());
        command.args(["--disable-hot-restart", "--concurrency", "2", "--log-level", "error"]);
        command.args(["--config-yaml", &config.to_string()]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("sh can be started");
        let said = child.stderr.take().expect("it is piped");
        thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                println!("envoy: {line}");
            }
        });
        let mut this = Self(Process(child));
        wait_for("Envoy serves", || {
            assert!(!this.0.has_ended(), "Envoy has ended");
            ask(namespace, "ready").status.success()
        });
        this
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.0.id()
    }

    /// What it has counted.
    pub fn stats(&self, pod: &Pod) -> Stats {
        let [inside, _] = pod.namespaces();
        let text = stdout(&ask(inside, "stats"));
        // Histograms are left out.
        let counts = text.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Stats(counts.collect())
    }
}

fn ask(namespace: &Namespace, path: &str) -> Output {
    let mut curl = namespace.command("curl");
    curl.args(["--silent", "--fail", "--max-time", "20", &format!("http://127.0.0.1:{ADMIN}/{path}")]);
    curl.output().expect("curl can be started")
}

/// What Envoy has counted by names.
pub struct Stats(BTreeMap<String, u64>);

impl Stats {
    /// By its whole name.
    pub fn get(&self, name: &str) -> u64 {
        *self.0.get(name).unwrap_or_else(|| panic!("Envoy has no {name}: {:?}", self.0.keys()))
    }

    /// Connections that came to any of its listeners but that of its admin interface.
    pub fn accepted(&self) -> u64 {
        let of_listeners = self.0.iter().filter(|(name, _)| {
            name.starts_with("listener.")
                && name.ends_with(".downstream_cx_total")
                && !name.contains(".admin.")
                && !name.contains(".worker_")
        });
        of_listeners.map(|(_, count)| count).sum()
    }
}
