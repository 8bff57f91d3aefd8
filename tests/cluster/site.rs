//! The cluster as it is built up: control plane, node, pods, clients that connect.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use tcproute_tests::{
    cluster::{ADMIN, ControlPlane, crds, kinds},
    interrupt,
};

use crate::{
    Cli,
    kubectl::Kubectl,
    machine::Machine,
    mesh::Mesh,
    network::CONTROL_PLANE,
    observed::{CLIENTS, Observed},
    report::Report,
};

/// Longer than anything takes, also where it is emulated on a busy machine.
const PATIENCE: Duration = Duration::from_mins(8);

/// A fraction of how long what is waited for takes.
const PAUSE: Duration = Duration::from_secs(1);

/// As the node's files have it.
const NODE: &str = "node-1";

/// In this order it goes when it is dropped.
pub(crate) struct Site {
    _mesh: Mesh,
    machine: RefCell<Machine>,
    pub(crate) kubectl: Kubectl,
    control_plane: ControlPlane,
}

impl Site {
    pub(crate) fn build(cli: &Cli, report: &mut Report) -> Result<Self> {
        let control_plane =
            ControlPlane::of_nodes(CONTROL_PLANE.into(), &cli.kubernetes).map_err(|why| anyhow!(why))?;
        report.mark("the API server and the controllers are ready");
        // Rules of 2.4, as in the other tests.
        let api = control_plane.api();
        let kinds: Vec<_> = kinds::KUMA.into_iter().filter(|kind| *kind != kinds::MESH_METRIC).collect();
        crds::install(&api, &kinds);
        let machine = Machine::boot(&cli.machine, &cli.directory.join("console.log"), &control_plane)?;
        let kubectl = Kubectl::new(cli.kubernetes.join("kubectl"), control_plane.kubeconfig(ADMIN));
        let site = Self { _mesh: Mesh::begin(api), machine: RefCell::new(machine), kubectl, control_plane };
        let built = site.fill(report);
        if built.is_err() {
            site.keep_logs(&cli.directory);
        }
        built.map(|()| site).with_context(|| format!("logs are in {}", cli.directory.display()))
    }

    fn fill(&self, report: &mut Report) -> Result<()> {
        self.until("the node is ready", || self.node_is_ready())?;
        report.mark("the node is ready");
        report.versions(&self.kubectl.say(&format!("get node {NODE} --output json"))?)?;
        self.apply("shop")?;
        self.until("a pod runs", || Ok(self.pods()?.iter().any(is_ready)))?;
        report.mark("the first pod runs");
        self.until("all pods run", || self.pods_are_ready())?;
        self.apply("mesh")?;
        self.apply("clients")?;
        self.until("the clients connect", || {
            self.pods_are_ready()?;
            Ok(Observed::now(&self.kubectl).is_ok_and(|observed| observed.least() > 0))
        })?;
        report.mark("clients connect");
        Ok(())
    }

    /// One of the files in `tests/cluster/manifests`.
    pub(crate) fn apply(&self, name: &str) -> Result<()> {
        let file = format!("{name}.yaml");
        self.kubectl.apply(&root().join("tests/cluster/manifests").join(file))
    }

    /// Waits until it is so. What fails is asked again; if it fails to the end, the last failure is told.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        let begin = Instant::now();
        loop {
            let answer = is_so();
            if matches!(answer, Ok(true)) {
                return Ok(());
            }
            ensure!(!interrupt::is_interrupted(), "interrupted");
            ensure!(!self.machine.borrow_mut().has_ended(), "the machine has ended");
            if begin.elapsed() > PATIENCE {
                let waited = || format!("waited in vain: {what}");
                return answer.with_context(waited).and_then(|_| Err(anyhow!(waited())));
            }
            thread::sleep(PAUSE);
        }
    }

    pub(crate) fn node_is_ready(&self) -> Result<bool> {
        let node = self.json(&format!("get node {NODE} --output json"))?;
        Ok(condition(&node, "Ready"))
    }

    /// All of the cluster's.
    pub(crate) fn pods(&self) -> Result<Vec<Value>> {
        let list = self.json("get pods --all-namespaces --output json")?;
        Ok(list["items"].as_array().context("a list without items")?.clone())
    }

    /// Whether there are any, and all are.
    pub(crate) fn pods_are_ready(&self) -> Result<bool> {
        let pods = self.pods()?;
        Ok(!pods.is_empty() && pods.iter().all(is_ready))
    }

    pub(crate) fn json(&self, words: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl.say(words)?)?)
    }

    /// What the clients see in so many connections to each destination that are made from now on.
    pub(crate) fn observe(&self, connections: u64) -> Result<Observed> {
        self.observe_since(&Observed::now(&self.kubectl)?, connections)
    }

    /// What they have seen since an earlier moment, and at least so many connections.
    pub(crate) fn observe_since(&self, earlier: &Observed, connections: u64) -> Result<Observed> {
        let mut seen = Observed::default();
        self.until(&format!("{connections} connections to each destination"), || {
            seen = Observed::now(&self.kubectl)?.since(earlier);
            Ok(seen.0.len() == 2 * CLIENTS.len() && seen.least() >= connections)
        })?;
        Ok(seen)
    }

    /// What the programs of the control plane have said.
    pub(crate) fn keep_logs(&self, directory: &Path) {
        for entry in fs::read_dir(self.control_plane.directory()).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                // They are of use if something is wrong, which is told anyway.
                let _ = fs::copy(&path, directory.join(entry.file_name()));
            }
        }
    }
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("")
}

fn is_ready(pod: &Value) -> bool {
    pod["metadata"].get("deletionTimestamp").is_none() && condition(pod, "Ready")
}

fn condition(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|it| it["type"] == kind && it["status"] == "True"))
}
