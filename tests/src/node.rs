//! A node on which daemons come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::{NamedTempFile, TempDir};

use crate::{
    bpftool::links_at,
    cgroup::TestCgroup,
    client::{self, stdout},
    mesh::Mesh,
    tcproute::{self, Bpffs, ask, ask_json, binary, run_arguments},
    wait_for,
};

/// A bpffs and a cgroup that outlive the daemons.
pub struct Node {
    /// Where the maps and links are pinned.
    pub bpffs: Bpffs,
    /// Of the workload `web`.
    pub cgroup: TestCgroup,
    /// For the socket of the admin endpoint.
    run: TempDir,
    /// The one that runs.
    pub daemon: Option<Child>,
}

/// What a daemon has logged.
pub struct Log(NamedTempFile);

impl Log {
    /// All of it.
    pub fn text(&self) -> String {
        fs::read_to_string(self.0.path()).expect("the log can be read")
    }

    /// Whether the daemon has said that its routes are in force.
    pub fn in_force(&self) -> bool {
        self.text().contains("routes in force")
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        print!("{}", self.text());
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

impl Node {
    /// Without a daemon.
    pub fn new() -> Self {
        Self {
            bpffs: Bpffs::mount(),
            cgroup: TestCgroup::create(),
            run: tempfile::tempdir().expect("a temporary directory can be made"),
            daemon: None,
        }
    }

    /// Starts a daemon.
    pub fn launch(&mut self, mesh: &Mesh, more: &[&str]) -> Log {
        let cgroup = self.cgroup.path().to_owned();
        self.launch_as(mesh, ("web", &cgroup), more)
    }

    /// Starts a daemon, and waits until its routes are in force.
    pub fn run(&mut self, mesh: &Mesh, more: &[&str]) -> Log {
        let log = self.launch(mesh, more);
        self.wait_in_force(&log);
        log
    }

    /// The same with another workload in the place of `web`.
    pub fn run_another(&mut self, mesh: &Mesh, dataplane: &str, cgroup: &TestCgroup) {
        let log = self.launch_as(mesh, (dataplane, cgroup.path()), &[]);
        self.wait_in_force(&log);
    }

    /// The same through another command, such as one that takes privileges away. Its last argument is yet to come: the
    /// binary.
    pub fn run_through(&mut self, mut command: Command, mesh: &Mesh) {
        command.arg(binary());
        let cgroup = self.cgroup.path().to_owned();
        let log = self.launch_through(command, mesh, ("web", &cgroup), &[]);
        self.wait_in_force(&log);
    }

    fn launch_as(&mut self, mesh: &Mesh, workload: (&str, &Path), more: &[&str]) -> Log {
        self.launch_through(Command::new(binary()), mesh, workload, more)
    }

    fn launch_through(
        &mut self,
        mut command: Command,
        mesh: &Mesh,
        workload: (&str, &Path),
        more: &[&str],
    ) -> Log {
        let log = Log(NamedTempFile::new().expect("a temporary file can be made"));
        run_arguments(&mut command, &mesh.file(), self.bpffs.path(), &self.admin_socket(), &[workload])
            .args(more);
        command.stdin(Stdio::null()).stderr(log.0.reopen().expect("the log can be opened"));
        self.daemon = Some(command.spawn().expect("tcproute can be started"));
        log
    }

    fn wait_in_force(&mut self, log: &Log) {
        let daemon = self.daemon.as_mut().expect("it was started");
        wait_for("the routes are in force", || {
            let status = daemon.try_wait().expect("a child can be waited for");
            assert!(status.is_none(), "the daemon has ended: {}", log.text());
            log.in_force()
        });
    }

    fn admin_socket(&self) -> PathBuf {
        self.run.path().join("admin.sock")
    }

    /// What the admin endpoint of the daemon that runs answers.
    pub fn json(&self, path: &str) -> serde_json::Value {
        ask_json(&self.admin_socket(), path)
    }

    /// Whether the metrics of the daemon that runs have this line.
    pub fn has_metric(&self, line: &str) -> bool {
        let (code, body) = ask(&self.admin_socket(), "/metrics");
        assert_eq!(code, 200, "{body}");
        body.lines().any(|it| it == line)
    }

    /// The programs that are attached to the cgroup of `web`, by the kernel's numbers.
    pub fn programs(&self) -> BTreeSet<u64> {
        let links = links_at(self.cgroup.path());
        links.iter().map(|link| link["prog_id"].as_u64().expect("a link has a program")).collect()
    }

    /// kill -9
    pub fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon runs");
        daemon.kill().expect("a child can be killed");
        daemon.wait().expect("a child can be waited for");
    }

    /// Its directory of pins.
    pub fn pins(&self) -> PathBuf {
        self.bpffs.path().join("tcproute")
    }

    /// See [`age`](tcproute::age).
    pub fn age(&self, same_states: bool) {
        tcproute::age(&self.pins(), same_states).expect("pins can be changed");
    }

    /// The ids of the maps of the tables that are pinned.
    pub fn tables(&self) -> BTreeSet<u64> {
        let id = |name: &str| {
            let mut bpftool = Command::new("bpftool");
            let show = bpftool.args(["-j", "map", "show", "pinned"]).arg(self.pins().join(name));
            let text = stdout(&show.output().expect("bpftool can be started"));
            let shown: serde_json::Value = serde_json::from_str(&text).expect("bpftool shows JSON");
            shown["id"].as_u64().expect("a map has an id")
        };
        ["routes", "backends", "endpoints"].map(id).into()
    }

    /// Who answers how often.
    pub fn ask(&self, dialled: SocketAddr, count: u32) -> BTreeMap<String, u64> {
        client::ask(&self.cgroup, dialled, count)
    }

    /// `tcproute detach`, and what it says.
    pub fn detach(&self) -> String {
        let mut detach = Command::new(binary());
        detach.arg("detach").arg("--bpffs").arg(self.bpffs.path());
        stdout(&detach.output().expect("tcproute can be started"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}
