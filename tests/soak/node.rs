//! The node: cgroups, files, and a daemon that comes and goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tcproute_tests::{
    cgroup::TestCgroup,
    interrupt,
    tcproute::{Bpffs, binary},
};

use crate::{
    daemon::Daemon,
    extent::{WORKLOADS, workload_name},
    files::Files,
    mesh::{Addresses, Mesh},
    outcome::{Distribution, Outcome},
    unusable::Rejected,
};

/// All of it goes when this is dropped.
pub(crate) struct Node {
    daemon: Option<Daemon>,
    pub(crate) files: Files,
    pub(crate) workloads: [Option<TestCgroup>; WORKLOADS],
    /// The workloads that the daemon was told of.
    named: [bool; WORKLOADS],
    /// For clients that are no workload.
    pub(crate) elsewhere: TestCgroup,
    /// Of all these.
    parent: TestCgroup,
    bpffs: Bpffs,
    run: tempfile::TempDir,
}

/// Longer than anything takes, also where processors are emulated.
const PATIENCE: Duration = Duration::from_mins(2);

impl Node {
    pub(crate) fn new() -> Result<Self> {
        let parent = TestCgroup::create();
        Ok(Self {
            daemon: None,
            files: Files::new()?,
            workloads: [const { None }; WORKLOADS],
            named: [false; WORKLOADS],
            elsewhere: parent.child("elsewhere"),
            parent,
            bpffs: Bpffs::mount(),
            run: tempfile::tempdir().context("cannot make a directory for the socket")?,
        })
    }

    /// Makes a workload's cgroup, under the same name each time.
    pub(crate) fn create(&mut self, workload: usize) -> &TestCgroup {
        self.workloads[workload].insert(self.parent.child(&workload_name(workload)))
    }

    /// The workloads that have a cgroup.
    pub(crate) fn present(&self) -> [bool; WORKLOADS] {
        self.workloads.each_ref().map(Option::is_some)
    }

    /// The numbers of the workloads that have a cgroup.
    pub(crate) fn existing(&self) -> impl Iterator<Item = usize> {
        (0..WORKLOADS).filter(|&workload| self.workloads[workload].is_some())
    }

    /// The inodes of the cgroups of workloads.
    pub(crate) fn cgroup_ids(&self) -> Result<Vec<u64>> {
        let cgroups = self.workloads.iter().flatten();
        cgroups.map(|cgroup| Ok(fs::metadata(cgroup.path())?.ino())).collect()
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.bpffs.path().join("tcproute")
    }

    pub(crate) fn daemon(&self) -> Result<&Daemon> {
        self.daemon.as_ref().context("there is no daemon")
    }

    /// Takes it away, to end it.
    pub(crate) fn take_daemon(&mut self) -> Result<Daemon> {
        self.daemon.take().context("there is no daemon")
    }

    /// Whether the daemon was told of the workload.
    pub(crate) fn is_named(&self, workload: usize) -> bool {
        self.named[workload]
    }

    fn cgroup(&self, workload: usize) -> PathBuf {
        self.parent.path().join(workload_name(workload))
    }

    /// Whether no cgroup has the name of the workload's.
    pub(crate) fn may_come(&self, workload: usize) -> bool {
        !self.cgroup(workload).exists()
    }

    /// Starts a daemon for the workloads that have a cgroup and these, and waits for nothing.
    pub(crate) fn start(&mut self, awaited: &[usize], more: &[&str]) -> Result<()> {
        self.named = self.present();
        for &workload in awaited {
            self.named[workload] = true;
        }
        let cgroups: Vec<(String, PathBuf)> = (0..WORKLOADS)
            .filter(|&workload| self.named[workload])
            .map(|workload| (workload_name(workload), self.cgroup(workload)))
            .collect();
        let cgroups: Vec<_> =
            cgroups.iter().map(|(name, cgroup)| (name.as_str(), cgroup.as_path())).collect();
        let daemon = Daemon::start(self.files.path(), self.bpffs.path(), self.run.path(), &cgroups, more)?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Waits until what the daemon says is in force is what follows from the resources.
    pub(crate) fn wait_in_force(&mut self, mesh: &Mesh, addresses: &Addresses) -> Result<()> {
        let wanted: BTreeMap<String, Routes> = self
            .existing()
            .map(|workload| (workload_name(workload), mesh.routes(addresses, workload)))
            .collect();
        self.wait("the first routes are in force", |daemon| Ok(daemon.is_in_force()))?;
        let mut shown = Value::Null;
        let waited = self.wait("the routes in force are those of the resources", |daemon| {
            shown = daemon.json("/v1/routes")?;
            Ok(routes(&shown)? == wanted)
        });
        waited.with_context(|| difference(&shown, &wanted))?;
        self.wait_rejected(mesh)
    }

    /// Waits until the daemon says that just that is rejected which cannot be used.
    pub(crate) fn wait_rejected(&mut self, mesh: &Mesh) -> Result<()> {
        let wanted = mesh.rejected();
        let mut shown = BTreeSet::new();
        let waited = self.wait("what cannot be used is told, and nothing else", |daemon| {
            shown = rejected(&daemon.json("/v1/status")?)?;
            Ok(shown == wanted)
        });
        waited.with_context(|| format!("wanted: {wanted:?}, shown: {shown:?}"))
    }

    /// Waits until the workloads that have a cgroup are attached, and no others are known.
    pub(crate) fn wait_attached(&mut self) -> Result<()> {
        let existing = self.existing().count();
        self.wait("the workloads are those that have a cgroup", |daemon| {
            let status = daemon.json("/v1/status")?;
            let workloads = status["workloads"].as_array().context("there are no workloads")?;
            Ok(workloads.len() == existing && workloads.iter().all(|workload| workload["attached"] == true))
        })
    }

    /// Waits until the daemon says that something more is rejected.
    pub(crate) fn wait_more_rejected(&mut self, mesh: &Mesh) -> Result<()> {
        let known = mesh.rejected();
        self.wait("something more is rejected", |daemon| {
            let shown = rejected(&daemon.json("/v1/status")?)?;
            Ok(shown.is_superset(&known) && shown != known)
        })
    }

    /// Waits until the daemon ends by itself, as one that is strict must if anything is wrong with the resources.
    pub(crate) fn wait_for_refusal(&mut self) -> Result<()> {
        let mut daemon = self.take_daemon()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = daemon.ended()? {
                ensure!(
                    status.code() == Some(2),
                    "with wrong resources tcproute ends with {status}\n{}",
                    daemon.log()
                );
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "tcproute goes on with wrong resources\n{}", daemon.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait(&mut self, what: &str, mut condition: impl FnMut(&Daemon) -> Result<bool>) -> Result<()> {
        let daemon = self.daemon.as_mut().context("there is no daemon")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = daemon.ended()? {
                bail!("tcproute has ended: {status}\n{}", daemon.log());
            }
            let asked = Instant::now();
            if condition(daemon).with_context(|| format!("waiting: {what}\n{}", daemon.log()))? {
                return Ok(());
            }
            interrupt::go_on()?;
            ensure!(Instant::now() < deadline, "waited in vain: {what}\n{}", daemon.log());
            // Answers may be long: the daemon has other things to do.
            thread::sleep(asked.elapsed().max(Duration::from_millis(5)));
        }
    }

    /// `tcproute detach`, which leaves nothing.
    pub(crate) fn detach(&self) -> Result<()> {
        let mut detach = std::process::Command::new(binary());
        let output = detach.arg("detach").arg("--bpffs").arg(self.bpffs.path()).output()?;
        ensure!(output.status.success(), "detach: {}", String::from_utf8_lossy(&output.stderr));
        ensure!(!self.pins().exists(), "pins are left");
        Ok(())
    }
}

type Routes = BTreeMap<SocketAddr, Distribution>;

/// Routes that are shown and not wanted, or the other way round: some of them.
fn difference(shown: &Value, wanted: &BTreeMap<String, Routes>) -> String {
    let shown = match routes(shown) {
        Ok(shown) => shown,
        Err(error) => return format!("{error:#}: {shown}"),
    };
    let none = Routes::new();
    let names: BTreeSet<&String> = shown.keys().chain(wanted.keys()).collect();
    let mut different = Vec::new();
    for name in names {
        let (shown, wanted) = (shown.get(name).unwrap_or(&none), wanted.get(name).unwrap_or(&none));
        let dialled: BTreeSet<&SocketAddr> = shown.keys().chain(wanted.keys()).collect();
        let differs = dialled.into_iter().filter(|at| shown.get(at) != wanted.get(at));
        let text =
            |routes: &Routes, at| routes.get(at).map_or_else(|| "none".to_owned(), ToString::to_string);
        different.extend(
            differs.map(|at| format!("{name} {at}: shown {}, wanted {}", text(shown, at), text(wanted, at))),
        );
    }
    format!("{} routes differ: {}", different.len(), different[..different.len().min(10)].join("; "))
}

/// Reads what is rejected from `/v1/status`.
fn rejected(status: &Value) -> Result<BTreeSet<Rejected>> {
    let rejected = status["rejected"].as_array().context("nothing is said of what is rejected")?.iter();
    let read = |rejected: &Value| {
        let subject = rejected["subject"].as_str().context("no subject")?;
        // Of a place the file is enough.
        let subject = match subject.rsplit_once('/') {
            Some((_, place)) => place.split(':').next().unwrap_or(place),
            None => subject,
        };
        let kept = rejected["kept"].as_bool().context("it is not said what becomes of it")?;
        Ok(Rejected { subject: subject.to_owned(), kept })
    };
    rejected.map(read).collect()
}

/// Reads `/v1/routes`.
fn routes(shown: &Value) -> Result<BTreeMap<String, Routes>> {
    let dataplanes = shown.as_array().context("the routes are no list")?;
    let of = |dataplane: &Value| {
        let name = dataplane["dataplane"].as_str().context("no name")?.to_owned();
        let routes = dataplane["routes"].as_array().context("no routes")?.iter().map(route);
        Ok((name, routes.collect::<Result<_>>()?))
    };
    dataplanes.iter().map(of).collect()
}

fn route(route: &Value) -> Result<(SocketAddr, Distribution)> {
    let ip = route["address"].as_str().context("no address")?.parse()?;
    let port = route["port"].as_u64().context("no port")?;
    let dialled = SocketAddr::new(ip, u16::try_from(port)?);
    if route["action"] != "route" {
        return Ok((dialled, Distribution::only(Outcome::Reached(dialled))));
    }
    let backends = route["backends"].as_array().context("no backends")?.iter().map(|backend| {
        let endpoints = backend["endpoints"].as_array().context("no endpoints")?.iter();
        let endpoints = endpoints.map(|e| Ok(e.as_str().context("no endpoint")?.parse()?));
        let weight = backend["weight"].as_f64().context("no weight")?;
        Ok((weight, endpoints.collect::<Result<_>>()?))
    });
    Ok((dialled, Distribution::split(&backends.collect::<Result<Vec<_>>>()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn routes_are_read_as_the_daemon_shows_them() {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let shown = json!([{"mesh": "default", "dataplane": "web", "routes": [
            {"service": "db", "address": "127.0.0.1", "port": 1, "action": "route", "backends": [
                {"kind": "MeshService", "name": "db", "weight": 3, "share": 0.75, "endpoints": ["127.0.0.1:2"]},
                {"kind": "MeshService", "name": "none", "weight": 1, "share": 0.25, "endpoints": []}]},
            {"service": "x", "address": "127.0.0.1", "port": 9, "action": "passthrough", "backends": []}]}]);
        let routes = &routes(&shown).unwrap()["web"];
        assert_eq!(routes[&at(1)], Distribution::split(&[(3.0, vec![at(2)]), (1.0, vec![])]));
        assert_eq!(routes[&at(9)], Distribution::only(Outcome::Reached(at(9))));
    }
    #[test]
    fn what_is_rejected_is_told_by_the_object_or_the_file() {
        let of = |subject: &str, kept| json!({"source": "files", "subject": subject, "kept": kept});
        let status = json!({"rejected": [
            of("MeshTCPRoute p1 of mesh default", true), of("/tmp/x/policy-p2.yaml:1:7", false)]});
        let read: Vec<_> = rejected(&status).unwrap().into_iter().map(|it| (it.subject, it.kept)).collect();
        let told = [("MeshTCPRoute p1 of mesh default", true), ("policy-p2.yaml", false)];
        assert_eq!(read, told.map(|(subject, kept)| (subject.to_owned(), kept)));
    }
}
