//! A daemon that starts without what the one before has read: the last good form of each object is kept.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    cell::RefCell,
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    rc::Rc,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::Value;
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::reaches,
    is_root,
    load::Load,
    process::Process,
    replace,
    server::Server,
    tcproute::{Bpffs, Daemon, ask, binary, is_open, run_arguments, wait_ready},
    wait_for,
};

/// A mesh in a directory of files, a cgroup, and where daemons keep what they have read.
struct Setup {
    root: tempfile::TempDir,
    cgroup: TestCgroup,
    dialled: [SocketAddr; 2],
    servers: [Server; 2],
}

const BACKENDS: [&str; 2] = ["blue", "green"];

impl Setup {
    /// Two services that are dialled, each with a policy of its own that leads to `blue`.
    fn new() -> Self {
        let net = Loopback::claim();
        let dialled = [1, 2].map(|last| SocketAddr::from((net.ip(0, last), 5432)));
        let servers = [1, 2].map(|last| Server::start((net.ip(1, last), 0), BACKENDS[usize::from(last) - 1]));
        let root = tempfile::tempdir().unwrap();
        let setup = Self { root, cgroup: TestCgroup::create(), dialled, servers };
        fs::create_dir_all(setup.policies()).unwrap();
        let mut mesh = "type: Mesh\nname: default\n".to_owned();
        let mut outbounds = Vec::new();
        for (name, dialled) in ["db", "cache"].iter().zip(dialled) {
            let (ip, port) = (dialled.ip(), dialled.port());
            let outbound = format!("{{port: {port}, address: {ip}, tags: {{kuma.io/service: {name}}}}}");
            outbounds.push(outbound);
            mesh += &service(name, dialled);
        }
        for (name, server) in BACKENDS.iter().zip(&setup.servers) {
            mesh += &service(name, server.address());
        }
        let outbounds = outbounds.join(", ");
        let dataplane = format!(
            "---\ntype: Dataplane\nmesh: default\nname: web\nnetworking:\n  address: 192.0.2.1\n  inbound: [{{port: 1, tags: {{kuma.io/service: web}}}}]\n  outbound: [{outbounds}]\n"
        );
        mesh.push_str(&dataplane);
        replace(&setup.resources().join("mesh.yaml"), &mesh);
        setup.lead("db", "blue");
        setup.lead("cache", "blue");
        setup
    }

    fn resources(&self) -> PathBuf {
        self.root.path().join("resources")
    }

    fn policies(&self) -> PathBuf {
        self.resources().join("policies")
    }

    fn policy(&self, service: &str) -> PathBuf {
        self.policies().join(format!("{service}.yaml"))
    }

    fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    fn lead(&self, service: &str, to: &str) {
        replace(
            &self.policy(service),
            &format!(
                "type: MeshTCPRoute\nmesh: default\nname: {service}\nspec:\n  targetRef: {{kind: Mesh}}\n  to:\n    - targetRef: {{kind: MeshService, name: {service}}}\n      rules: [{{default: {{backendRefs: [{{kind: MeshService, name: {to}}}]}}}}]\n"
            ),
        );
    }

    /// As after a reboot, if it is on a bpffs on which no other daemon was.
    fn start(&self, bpffs: &Rc<Bpffs>, more: &[&str]) -> Daemon {
        let workloads = [("web", self.cgroup.path())];
        let arguments = self.arguments(more);
        Daemon::start_on(bpffs, &mut Command::new(binary()), &self.resources(), &workloads, &arguments)
    }

    fn arguments(&self, more: &[&str]) -> Vec<OsString> {
        let own = ["--resources".into(), self.policies().into(), "--state-dir".into(), self.state().into()];
        own.into_iter().chain(more.iter().map(Into::into)).collect()
    }

    /// As [`Self::start`], without waiting for its routes.
    fn launch(&self, bpffs: &Bpffs, more: &[&str]) -> Launched {
        let run = tempfile::tempdir().unwrap();
        let (socket, log) = (run.path().join("run/admin.sock"), tempfile::NamedTempFile::new().unwrap());
        let mut command = Command::new(binary());
        let workloads = [("web", self.cgroup.path())];
        run_arguments(&mut command, &self.resources(), bpffs.path(), &socket, &workloads);
        command.args(self.arguments(more)).stdin(Stdio::null()).stderr(log.reopen().unwrap());
        let process = Process(command.spawn().unwrap()).into();
        Launched { process, socket, log, _run: run }
    }

    fn reach(&self, names: [&str; 2]) {
        for (dialled, name) in self.dialled.into_iter().zip(names) {
            wait_for("the route is in force", || reaches(&self.cgroup, dialled, name));
        }
    }
}

/// A daemon that may not be ready.
struct Launched {
    process: RefCell<Process>,
    socket: PathBuf,
    log: tempfile::NamedTempFile,
    _run: tempfile::TempDir,
}

impl Launched {
    fn wait_ready(&self) {
        wait_ready(&mut self.process.borrow_mut(), &self.socket);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }
}

fn service(name: &str, at: SocketAddr) -> String {
    format!(
        "---\ntype: ExternalService\nmesh: default\nname: {name}\ntags: {{kuma.io/service: {name}, kuma.io/protocol: tcp}}\nnetworking: {{address: '{at}'}}\n"
    )
}

fn source(daemon: &Daemon) -> Value {
    daemon.json("/v1/status")["sources"][0].clone()
}

/// All that was read is on the disk.
fn wait_kept(daemon: &Daemon) {
    wait_for("all is kept", || {
        source(daemon)["kept"]["whole"] == true && source(daemon)["kept"]["bytes"] != 0
    });
}

fn stale(daemon: &Daemon) -> u64 {
    let mut stale = 0;
    wait_for("status and metrics tell the same", || {
        stale = source(daemon)["stale"].as_u64().unwrap();
        daemon.metric("tcproute_stale_resources") == stale
    });
    stale
}

/// Moves a file or directory away, and back when this is dropped.
struct Away(PathBuf);

impl Away {
    fn take(path: &Path) -> Self {
        fs::rename(path, path.with_extension("away")).unwrap();
        Self(path.to_path_buf())
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        let _ = fs::rename(self.0.with_extension("away"), &self.0);
    }
}

#[test]
fn after_a_reboot_without_its_source_a_node_routes_as_before() {
    if !is_root("after_a_reboot_without_its_source_a_node_routes_as_before") {
        return;
    }
    let setup = Setup::new();
    let bpffs = Rc::new(Bpffs::mount());
    let daemon = setup.start(&bpffs, &[]);
    setup.reach(["blue", "blue"]);
    setup.lead("db", "green");
    setup.reach(["green", "blue"]);
    wait_kept(&daemon);
    assert_eq!(stale(&daemon), 0);
    drop((daemon, bpffs));

    let away = Away::take(&setup.resources());
    let bpffs = Rc::new(Bpffs::mount());
    let daemon = setup.start(&bpffs, &[]);
    setup.reach(["green", "blue"]);
    // A Mesh, a Dataplane, four services and two policies.
    assert_eq!(stale(&daemon), 8);
    assert!(source(&daemon)["failing"]["why"].as_str().unwrap().contains("cannot read"));
    let shown = String::from_utf8(daemon.status(&[]).stdout).unwrap();
    assert!(shown.contains("stale: 8 of them are as they were before this daemon's start"), "{shown}");

    drop(away);
    wait_for("the source answers", || stale(&daemon) == 0);
    fs::remove_file(setup.policy("db")).unwrap();
    wait_for("the policy is gone", || !reaches(&setup.cgroup, setup.dialled[0], "green"));
}

#[test]
fn what_is_refused_at_a_start_is_as_it_was_before() {
    if !is_root("what_is_refused_at_a_start_is_as_it_was_before") {
        return;
    }
    let setup = Setup::new();
    let bpffs = Rc::new(Bpffs::mount());
    setup.lead("db", "green");
    let daemon = setup.start(&bpffs, &[]);
    wait_kept(&daemon);
    drop((daemon, bpffs));

    let wrong = fs::read_to_string(setup.policy("db")).unwrap().replace("rules", "rulez");
    replace(&setup.policy("db"), &wrong);
    setup.lead("cache", "green");
    let bpffs = Rc::new(Bpffs::mount());
    let daemon = setup.start(&bpffs, &[]);
    setup.reach(["green", "green"]);
    assert_eq!(stale(&daemon), 1);
    let status = daemon.json("/v1/status");
    assert_eq!(status["rejected"][0]["kept"], true, "{status}");
    setup.lead("db", "blue");
    setup.reach(["blue", "green"]);
    wait_for("nothing is stale", || stale(&daemon) == 0);
}

#[test]
fn what_is_broken_of_it_is_told_and_left_out() {
    if !is_root("what_is_broken_of_it_is_told_and_left_out") {
        return;
    }
    let setup = Setup::new();
    let bpffs = Rc::new(Bpffs::mount());
    let daemon = setup.start(&bpffs, &[]);
    setup.reach(["blue", "blue"]);
    wait_kept(&daemon);
    drop((daemon, bpffs));
    let files = fs::read_dir(setup.state().join("files")).unwrap().map(|entry| entry.unwrap().path());
    let policies: Vec<PathBuf> =
        files.filter(|path| fs::read_to_string(path).unwrap().contains("/cache.yaml")).collect();
    let [policy] = &policies[..] else { panic!("{policies:?}") };
    let text = fs::read_to_string(policy).unwrap();
    fs::write(policy, text.replace("blue", "blux")).unwrap();

    let _away = Away::take(&setup.resources());
    let bpffs = Bpffs::mount();
    let daemon = setup.launch(&bpffs, &[]);
    daemon.wait_ready();
    wait_for("the other policy is in force", || reaches(&setup.cgroup, setup.dialled[0], "blue"));
    assert!(!reaches(&setup.cgroup, setup.dialled[1], "blue"));
    let told = format!("what is kept in {}:2 is left out: it is not as it was written", policy.display());
    assert!(daemon.log().contains(&told), "{}", daemon.log());
}

#[test]
fn a_disk_that_takes_nothing_stops_no_route() {
    if !is_root("a_disk_that_takes_nothing_stops_no_route") {
        return;
    }
    let setup = Setup::new();
    fs::create_dir(setup.state()).unwrap();
    let disk = Disk::mount(&setup.state());
    let bpffs = Rc::new(Bpffs::mount());
    let daemon = setup.start(&bpffs, &[]);
    setup.reach(["blue", "blue"]);
    wait_for("it is told", || {
        let why = source(&daemon)["kept"]["error"].as_str().unwrap_or_default().to_owned();
        why.contains("No space left on device")
    });
    assert_eq!(daemon.metric("tcproute_last_good_kept"), 0);
    setup.lead("db", "green");
    setup.reach(["green", "blue"]);
    // Once there is room, all is kept.
    disk.grow();
    wait_kept(&daemon);
    wait_for("the metric tells it", || daemon.metric("tcproute_last_good_kept") == 1);
}

/// A file system of two pages.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Self {
        let size = Some("size=8k,nr_inodes=64");
        mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), size).unwrap();
        Self(at.to_path_buf())
    }

    fn grow(&self) {
        let size = Some("size=8m,nr_inodes=640");
        mount(None::<&str>, &self.0, None::<&str>, MsFlags::MS_REMOUNT, size).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn nothing_is_taken_back_before_a_source_has_answered() {
    if !is_root("nothing_is_taken_back_before_a_source_has_answered") {
        return;
    }
    let setup = Setup::new();
    let bpffs = Rc::new(Bpffs::mount());
    drop(setup.start(&bpffs, &[]));
    let load = Load::start(&setup.cgroup, setup.dialled[0], 1);
    // The daemons after that one know nothing of what it has read.
    fs::remove_dir_all(setup.state()).unwrap();
    let away = Away::take(&setup.policies());
    let daemon = setup.launch(&bpffs, &["--start-timeout", "50"]);
    wait_for("it waits", || is_open(&daemon.socket) && ask(&daemon.socket, "/readyz").0 == 503);
    let asked = |flag: &str| {
        let mut status = Command::new(binary());
        let output = status.args(["status", flag, "--admin-socket"]).arg(&daemon.socket).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(asked("--live").0, Some(0), "who waits is not ended");
    let (code, why) = asked("--ready");
    assert!(code == Some(1) && why.contains("the routes are not in force yet"), "{code:?}: {why}");
    load.wait_for_more(100);
    drop(away);
    daemon.wait_ready();
    let seen = load.finish();
    assert!(seen.failures.is_empty(), "{seen:?}");
    assert_eq!(seen.names.into_keys().collect::<Vec<_>>(), ["blue"]);
    drop(daemon);

    // It does not wait for ever.
    fs::remove_dir_all(setup.state()).unwrap();
    let _away = Away::take(&setup.policies());
    let daemon = setup.launch(&bpffs, &["--start-timeout", "1"]);
    daemon.wait_ready();
    assert!(daemon.log().contains("not all sources have answered within 1 s"), "{}", daemon.log());
    assert!(!reaches(&setup.cgroup, setup.dialled[0], "blue"), "there is no policy");
}

#[test]
fn two_daemons_do_not_share_it() {
    if !is_root("two_daemons_do_not_share_it") {
        return;
    }
    let setup = Setup::new();
    let first = setup.start(&Rc::new(Bpffs::mount()), &[]);
    wait_kept(&first);
    let other = Setup::new();
    let (state, policies) = (setup.state(), other.policies());
    let second = Daemon::start_on(
        &Rc::new(Bpffs::mount()),
        &mut Command::new(binary()),
        &other.resources(),
        &[("web", other.cgroup.path())],
        &["--resources".as_ref(), policies.as_os_str(), "--state-dir".as_ref(), state.as_os_str()],
    );
    other.reach(["blue", "blue"]);
    let why = source(&second)["kept"]["error"].as_str().unwrap().to_owned();
    assert!(why.starts_with("another tcproute uses "), "{why}");
}
