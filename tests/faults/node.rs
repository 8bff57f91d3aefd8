//! A node: cgroups with clients in them, servers, and a daemon. Each thread of the suite has one.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    clock,
    server::Server,
    tcproute::{Bpffs, age, binary, run_arguments},
};

use crate::{
    clients::{Client, Names},
    mesh::{Addresses, Mesh, SERVERS},
    process::{Process, shown},
};

/// Fields are dropped in this order: what uses something before what is used.
pub(crate) struct Node {
    /// `web`, whose routes change, and `quiet`, whose do not.
    pub(crate) web: Client,
    quiet: Client,
    /// The Dataplane `pod`, as often as there are cgroups.
    pub(crate) pods: Vec<Pod>,
    pub(crate) daemon: Option<Process>,
    bpffs: Bpffs,
    web_cgroup: TestCgroup,
    quiet_cgroup: TestCgroup,
    parent: TestCgroup,
    pods_made: u32,
    pub(crate) addresses: Addresses,
    _servers: Vec<Server>,
    directory: tempfile::TempDir,
    /// What the resources say.
    pub(crate) mesh: Mesh,
}

/// A workload that comes and goes.
pub(crate) struct Pod {
    pub(crate) client: Client,
    pub(crate) id: u64,
    _cgroup: TestCgroup,
}

/// Who answers where nothing is attached.
pub(crate) const PLAIN: &str = "plain";
const CALM: &str = "calm";

/// Much longer than a start takes, or a change without a fault.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

impl Node {
    /// Without a daemon.
    pub(crate) fn new() -> Result<Self> {
        let net = Loopback::claim();
        let (dialled, calm_dialled): (SocketAddr, SocketAddr) =
            ((net.ip(0, 1), 5432).into(), (net.ip(0, 2), 5432).into());
        let mut servers = vec![Server::start(dialled, PLAIN), Server::start(calm_dialled, PLAIN)];
        let start = |(last, name)| Server::start((net.ip(1, last), 0), name);
        servers.extend((1..).zip(SERVERS).map(start));
        servers.push(start((9, CALM)));
        let address = |number: usize| servers[2 + number].address();
        let addresses = Addresses {
            dialled,
            calm_dialled,
            servers: [address(0), address(1), address(2), address(3)],
            calm: address(SERVERS.len()),
            net,
        };
        let parent = TestCgroup::create();
        let (web_cgroup, quiet_cgroup) = (parent.child("web"), parent.child("quiet"));
        let plain = || Names::from([PLAIN]);
        Ok(Self {
            web: Client::start(&web_cgroup, dialled, plain())?,
            quiet: Client::start(&quiet_cgroup, calm_dialled, plain())?,
            pods: Vec::new(),
            daemon: None,
            bpffs: Bpffs::mount(),
            web_cgroup,
            quiet_cgroup,
            parent,
            pods_made: 0,
            addresses,
            _servers: servers,
            directory: tempfile::tempdir()?,
            mesh: Mesh::FIRST,
        })
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("run/admin.sock")
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.bpffs.path().join("tcproute")
    }

    /// Writes the resources, as an editor does it.
    pub(crate) fn write(&mut self, mesh: Mesh) -> Result<()> {
        self.mesh = mesh;
        let directory = self.directory.path().join("mesh");
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("new"), mesh.text(&self.addresses))?;
        Ok(fs::rename(directory.join("new"), directory.join("mesh.yaml"))?)
    }

    /// `tcproute run`, which is yet to begin.
    pub(crate) fn prepare(&mut self) -> Result<&mut Process> {
        let mut command = Command::new(binary());
        let mesh = self.directory.path().join("mesh");
        let pods = self.parent.path().join("pod-*");
        let workloads =
            [("web", self.web_cgroup.path()), ("quiet", self.quiet_cgroup.path()), ("pod", pods.as_path())];
        run_arguments(&mut command, &mesh, self.bpffs.path(), &self.socket(), &workloads);
        Ok(self.daemon.insert(Process::prepare(&command)?))
    }

    /// `tcproute detach`, which is yet to begin.
    pub(crate) fn prepare_detach(&mut self) -> Result<&mut Process> {
        let mut command = Command::new(binary());
        command.arg("detach").arg("--bpffs").arg(self.bpffs.path());
        Ok(self.daemon.insert(Process::prepare(&command)?))
    }

    pub(crate) fn process(&mut self) -> Result<&mut Process> {
        self.daemon.as_mut().context("there is no process")
    }

    /// Lets the process begin.
    pub(crate) fn open_gate(&mut self) -> Result<()> {
        self.process()?.begin();
        Ok(())
    }

    /// Has the next daemon believe that another build has made what is pinned.
    pub(crate) fn age(&self, same_states: bool) -> Result<()> {
        Ok(age(&self.pins(), same_states)?)
    }

    /// Waits until the process ends.
    pub(crate) fn wait_for_end(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.process()?.ended()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until nothing is attached, which then stays so.
    pub(crate) fn wait_plain(&self) -> Result<()> {
        let (since, deadline) = (clock::now()?, Instant::now() + PATIENCE);
        let is_plain = |(client, _): (&Client, _)| client.last_since(since).as_deref() == Some(PLAIN);
        while !self.clients().all(is_plain) {
            ensure!(Instant::now() < deadline, "something is attached");
            thread::sleep(Duration::from_millis(2));
        }
        self.clients().try_for_each(|(client, _)| client.allow([PLAIN].into()))
    }

    /// Starts a daemon that nothing fails, and waits until it is in step.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.prepare()?.begin();
        self.allow_in(self.mesh)?;
        self.wait("the daemon starts", PATIENCE)?;
        self.settle()
    }

    /// A pod comes, with a client in it.
    pub(crate) fn add_pod(&mut self) -> Result<()> {
        let cgroup = self.parent.child(&format!("pod-{}", self.pods_made));
        self.pods_made += 1;
        let id = fs::metadata(cgroup.path())?.ino();
        let names = [PLAIN, self.mesh.answers()].into();
        let client = Client::start(&cgroup, self.addresses.dialled, names)?;
        self.pods.push(Pod { client, id, _cgroup: cgroup });
        Ok(())
    }

    /// A client of `web` that dials the last of its outbounds, which may not be there yet.
    pub(crate) fn dial_last(&self, mesh: Mesh) -> Result<Client> {
        let refused = "error: Connection refused (os error 111)";
        let names = [refused, mesh.answers()].into();
        Client::start(&self.web_cgroup, self.addresses.more(mesh.more - 1), names)
    }

    /// Each client, and who is to answer it.
    fn clients(&self) -> impl Iterator<Item = (&Client, &'static str)> {
        let pods = self.pods.iter().map(|pod| (&pod.client, self.mesh.answers()));
        [(&self.web, self.mesh.answers()), (&self.quiet, CALM)].into_iter().chain(pods)
    }

    /// From now on those may answer, too, to whom these resources lead.
    pub(crate) fn allow_in(&self, mesh: Mesh) -> Result<()> {
        self.quiet.allow_also(CALM)?;
        let pods = self.pods.iter().map(|pod| &pod.client);
        [&self.web].into_iter().chain(pods).try_for_each(|client| client.allow_also(mesh.answers()))
    }

    /// From now on nobody need be attached.
    pub(crate) fn allow_plain(&self) -> Result<()> {
        self.clients().try_for_each(|(client, _)| client.allow_also(PLAIN))
    }

    /// What the resources say is in force: from now on nobody else may answer.
    pub(crate) fn settle(&self) -> Result<()> {
        self.clients().try_for_each(|(client, answers)| client.allow([answers].into()))
    }

    /// Why what the resources say is not in force, if it is not, as seen from outside the daemon.
    pub(crate) fn differs(&self) -> Option<String> {
        let differs = |(client, answers): (&Client, &str)| {
            let last = client.last();
            (last.as_deref() != Some(answers)).then(|| format!("{answers} is to answer, and {last:?} does"))
        };
        self.clients().find_map(differs)
    }

    /// Whether the links of these workloads are pinned, and no others.
    pub(crate) fn has_links_of_its_own(&self) -> bool {
        let linked: Option<BTreeSet<String>> = fs::read_dir(self.pins().join("links")).ok().map(|entries| {
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        });
        let cgroups = [&self.web_cgroup, &self.quiet_cgroup]
            .map(|cgroup| fs::metadata(cgroup.path()).map(|it| it.ino()));
        let wanted = cgroups.into_iter().flatten().chain(self.pods.iter().map(|pod| pod.id));
        linked == Some(wanted.map(|id| id.to_string()).collect())
    }

    /// Why the daemon does not say that all is as it should be, if it does not.
    pub(crate) fn complains(&self) -> Option<String> {
        match Process::json(&self.socket(), "/v1/status") {
            Ok(status) => complaint(&status, 2 + self.pods.len()),
            Err(error) => Some(format!("{error:#}")),
        }
    }

    /// Asks the daemon for all that it tells. It may fail.
    pub(crate) fn ask_all(&self) {
        for path in ["/v1/status", "/v1/outcomes", "/v1/routes"] {
            let _ = Process::json(&self.socket(), path);
        }
    }

    /// Waits until it is in step: seen from outside, and by what it says.
    pub(crate) fn wait(&mut self, what: &str, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let differs = self.differs().or_else(|| self.complains());
            let Some(differs) = differs else { return Ok(()) };
            let daemon = self.daemon.as_mut().context("there is no daemon")?;
            if let Some(status) = daemon.ended()? {
                bail!("{what}: it has ended: {status}: {}", shown(&daemon.log_since(0)));
            }
            ensure!(Instant::now() < deadline, "{what}: not in step: {differs}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until each client has connected from now on, and tells which connections went wrong.
    pub(crate) fn check(&self) -> Result<()> {
        let (now, deadline) = (clock::now()?, Instant::now() + PATIENCE);
        while self.clients().any(|(client, _)| client.last_since(now).is_none()) {
            ensure!(Instant::now() < deadline, "a client does not connect any more");
            thread::sleep(Duration::from_millis(2));
        }
        let wrong: Vec<String> = self.clients().flat_map(|(client, _)| client.wrong()).collect();
        ensure!(wrong.is_empty(), "connections went wrong: {}", wrong.join("; "));
        Ok(())
    }

    pub(crate) fn connections(&self) -> u64 {
        self.clients().map(|(client, _)| client.connections()).sum()
    }
}

/// What is not as it should be in a status.
fn complaint(status: &Value, workloads: usize) -> Option<String> {
    let is_empty = |field: &&str| status[*field].as_array().is_some_and(Vec::is_empty);
    if let Some(field) = ["rejected", "warnings"].iter().find(|field| !is_empty(field)) {
        return Some(format!("{field}: {}", status[*field]));
    }
    if status["ready"] != true || !status["error"].is_null() {
        return Some(format!("not ready: {}", status["error"]));
    }
    let is_failing = |source: &Value| !source["failing"].is_null();
    if status["sources"].as_array().is_none_or(|sources| sources.iter().any(is_failing)) {
        return Some(format!("sources: {}", status["sources"]));
    }
    let is_attached = |workload: &Value| workload["attached"] == true;
    let all = status["workloads"].as_array();
    all.is_none_or(|all| all.len() != workloads || !all.iter().all(is_attached))
        .then(|| format!("{workloads} workloads, and these are: {}", status["workloads"]))
}

/// All names below a directory, sorted.
pub(crate) fn names_below(directory: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
            names.push(entry.path());
        }
    }
    names.sort();
    names
}
