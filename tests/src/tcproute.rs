//! The binary under test: as a daemon and for one command.

use std::{
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    rc::Rc,
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::Value;

use crate::{patience, process::Process, wait_for};

/// The binary: `TCPROUTE_BIN`, or the release build of this workspace.
pub fn binary() -> PathBuf {
    std::env::var_os("TCPROUTE_BIN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/tcproute"),
        PathBuf::from,
    )
}

/// `tcproute exec` of a command as the Dataplane `web` or another one.
pub fn exec(resources: &Path, dataplane: &str, command: &[&str]) -> Output {
    exec_command(resources, dataplane, command).output().expect("tcproute can be started")
}

/// As [`exec`], to be started by the caller.
pub fn exec_command(resources: &Path, dataplane: &str, command: &[&str]) -> Command {
    let mut exec = Command::new(binary());
    exec.arg("exec").arg("--resources").arg(resources).args(["--dataplane", dataplane, "--"]).args(command);
    exec.stdin(Stdio::null());
    exec
}

/// Where a daemon with this admin socket keeps what it has read.
pub fn state_directory(admin_socket: &Path) -> PathBuf {
    admin_socket.with_extension("state")
}

/// Adds the arguments of `tcproute run` for these `(dataplane, cgroup)`.
pub fn run_arguments<'a>(
    command: &'a mut Command,
    resources: &Path,
    bpffs: &Path,
    admin_socket: &Path,
    workloads: &[(&str, &Path)],
) -> &'a mut Command {
    command.arg("run").arg("--resources").arg(resources).arg("--bpffs").arg(bpffs);
    command.arg("--admin-socket").arg(admin_socket);
    command.arg("--state-dir").arg(state_directory(admin_socket));
    for (dataplane, cgroup) in workloads {
        command.arg("--workload").arg(format!("{dataplane}={}", cgroup.display()));
    }
    command
}

/// Makes the next daemon believe that a build with other tables has pinned what is in this directory, and with other
/// states, too, or with the same.
pub fn age(pins: &Path, same_states: bool) -> io::Result<()> {
    let mut states = "0".to_owned();
    for entry in fs::read_dir(pins)? {
        let entry = entry?;
        // layout-<tables>-<states>-<generation>
        if let Some(layout) = entry.file_name().to_string_lossy().strip_prefix("layout-") {
            if same_states && let Some(own) = layout.split('-').nth(1) {
                own.clone_into(&mut states);
            }
            fs::remove_dir(entry.path())?;
        }
    }
    fs::create_dir(pins.join(format!("layout-0-{states}-0")))
}

/// A bpffs of a test's own.
pub struct Bpffs {
    directory: tempfile::TempDir,
}

impl Default for Bpffs {
    fn default() -> Self {
        Self::mount()
    }
}

impl Bpffs {
    /// Mounts it in a temporary directory.
    pub fn mount() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        mount(Some("bpf"), directory.path(), Some("bpf"), MsFlags::empty(), None::<&str>)
            .expect("bpffs can be mounted");
        Self { directory }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Mounts another one at the same place.
    pub fn mount_over(&self) {
        mount(Some("bpf"), self.path(), Some("bpf"), MsFlags::empty(), None::<&str>)
            .expect("bpffs can be mounted");
    }

    /// Takes away what was mounted last, for now (`umount`) or as soon as nobody uses it (`umount -l`).
    pub fn umount(&self, lazily: bool) -> nix::Result<()> {
        umount2(self.path(), if lazily { MntFlags::MNT_DETACH } else { MntFlags::empty() })
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // Whatever is mounted there.
        while umount2(self.directory.path(), MntFlags::MNT_DETACH).is_ok() {}
    }
}

/// In a directory of the daemon's own.
const ADMIN_SOCKET: &str = "tcproute/admin.sock";

/// The status code and the body that curl gets.
pub fn get(arguments: &[&OsStr], url: &str) -> (u16, String) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}"]);
    let output = curl.args(arguments).arg(url).output().expect("curl can be started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{url}: {stderr}");
    let text = String::from_utf8_lossy(&output.stdout);
    let (body, code) = text.rsplit_once('\n').expect("the code is on a line of its own");
    (code.parse().expect("a code is a number"), body.to_owned())
}

/// Asks an admin endpoint: the status code and the body. Not by curl, which takes long to start.
pub fn ask(socket: &Path, path: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).expect("the admin endpoint is open");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket takes a timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("the request can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer can be read");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (code.unwrap_or_else(|| panic!("{head}")), body.to_owned())
}

/// Whether anybody listens there. The socket itself is there a moment before.
pub fn is_open(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

/// Waits until a daemon with this admin endpoint is ready.
pub fn wait_ready(daemon: &mut Process, socket: &Path) {
    wait_for("it is ready", || {
        assert!(!daemon.has_ended(), "it has ended");
        is_open(socket) && ask(socket, "/readyz").0 == 200
    });
}

/// Asks an admin endpoint, which must answer with 200 and JSON.
pub(crate) fn ask_json(socket: &Path, path: &str) -> Value {
    let (code, body) = ask(socket, path);
    assert_eq!(code, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

/// A running `tcproute run`. It is stopped by SIGTERM when this is dropped.
pub struct Daemon {
    process: Process,
    stderr: Receiver<String>,
    /// Where its maps are pinned.
    pub bpffs: Rc<Bpffs>,
    run: tempfile::TempDir,
}

impl Daemon {
    /// Starts it for these `(dataplane, cgroup)` and waits until the routes are in force.
    pub fn start(resources: &Path, workloads: &[(&str, &Path)]) -> Self {
        Self::start_with(&mut Command::new(binary()), resources, workloads, &[] as &[&str])
    }

    /// As [`Self::start`], through another command and with more arguments.
    pub fn start_with(
        command: &mut Command,
        resources: &Path,
        workloads: &[(&str, &Path)],
        more: &[impl AsRef<OsStr>],
    ) -> Self {
        Self::start_on(&Rc::new(Bpffs::mount()), command, resources, workloads, more)
    }

    /// As [`Self::start_with`], where other daemons have been or will be.
    pub fn start_on(
        bpffs: &Rc<Bpffs>,
        command: &mut Command,
        resources: &Path,
        workloads: &[(&str, &Path)],
        more: &[impl AsRef<OsStr>],
    ) -> Self {
        let run = tempfile::tempdir().expect("a temporary directory can be made");
        let socket = run.path().join(ADMIN_SOCKET);
        run_arguments(command, resources, bpffs.path(), &socket, workloads).args(more);
        Self::spawn(command, bpffs, run)
    }

    /// Starts one that learns all from a cluster, as this node of it, and waits until it is ready.
    pub fn of_cluster(bpffs: &Rc<Bpffs>, kubeconfig: &Path, node: &str, more: &[&str]) -> Self {
        let run = tempfile::tempdir().expect("a temporary directory can be made");
        let socket = run.path().join(ADMIN_SOCKET);
        let mut command = Command::new(binary());
        command.arg("run").arg("--kubeconfig").arg(kubeconfig).args(["--node-name", node]);
        command.arg("--bpffs").arg(bpffs.path()).arg("--admin-socket").arg(&socket);
        command.arg("--state-dir").arg(state_directory(&socket)).args(more);
        Self::spawn(&mut command, bpffs, run)
    }

    /// Starts one that learns all from a control plane, for these `(dataplane, cgroup)`, and waits until it is ready.
    pub fn of_control_plane(
        bpffs: &Rc<Bpffs>,
        url: &str,
        workloads: &[(&str, &Path)],
        more: &[impl AsRef<OsStr>],
    ) -> Self {
        let run = tempfile::tempdir().expect("a temporary directory can be made");
        let socket = run.path().join(ADMIN_SOCKET);
        let mut command = Command::new(binary());
        command
            .args(["run", "--url", url])
            .arg("--bpffs")
            .arg(bpffs.path())
            .arg("--admin-socket")
            .arg(&socket);
        command.arg("--state-dir").arg(state_directory(&socket));
        for (dataplane, cgroup) in workloads {
            command.arg("--workload").arg(format!("{dataplane}={}", cgroup.display()));
        }
        Self::spawn(command.args(more), bpffs, run)
    }

    /// As a container of a pod on this node would be started, without flags but those for its places: the account of
    /// the pod is where Kubernetes puts it.
    pub fn in_pod(
        bpffs: &Rc<Bpffs>,
        api_server: SocketAddr,
        account: &Path,
        node: &str,
        more: &[&str],
    ) -> Self {
        const PREPARE: &str = "mount -t tmpfs none /run && at=/run/secrets/kubernetes.io/serviceaccount && \
                               mkdir -p $at && cp \"$0\"/* $at && exec \"$@\"";
        let run = tempfile::tempdir().expect("a temporary directory can be made");
        let socket = run.path().join(ADMIN_SOCKET);
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", PREPARE]).arg(account).arg(binary()).arg("run");
        command.arg("--bpffs").arg(bpffs.path()).arg("--admin-socket").arg(&socket);
        command.arg("--state-dir").arg(state_directory(&socket)).args(more);
        command.env("KUBERNETES_SERVICE_HOST", api_server.ip().to_string());
        command.env("KUBERNETES_SERVICE_PORT", api_server.port().to_string()).env("NODE_NAME", node);
        Self::spawn(&mut command, bpffs, run)
    }

    fn spawn(command: &mut Command, bpffs: &Rc<Bpffs>, run: tempfile::TempDir) -> Self {
        let bpffs = Rc::clone(bpffs);
        let mut child =
            command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("tcproute can be started");
        let (sender, stderr) = mpsc::channel();
        let pipe = child.stderr.take().expect("stderr is piped");
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                println!("tcproute: {line}");
                let _ = sender.send(line);
            }
        });
        let daemon = Self { process: Process(child), stderr, bpffs, run };
        daemon.wait_for_line("routes in force");
        daemon
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Waits for a line of its log.
    pub fn wait_for_line(&self, text: &str) -> String {
        let deadline = Instant::now() + patience();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.stderr.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(error) => panic!("no line {text:?}: {error}"),
            }
        }
    }

    /// The socket of its admin endpoint.
    pub fn admin_socket(&self) -> PathBuf {
        self.run.path().join(ADMIN_SOCKET)
    }

    /// Asks its admin endpoint: the status code and the body.
    pub fn get(&self, path: &str) -> (u16, String) {
        ask(&self.admin_socket(), path)
    }

    /// As [`Self::get`], where the answer must be 200 and JSON.
    pub fn json(&self, path: &str) -> Value {
        ask_json(&self.admin_socket(), path)
    }

    /// A whole number of `/metrics`, by its name and labels as they are written there.
    pub fn metric(&self, name: &str) -> u64 {
        let (code, body) = self.get("/metrics");
        assert_eq!(code, 200, "{body}");
        let value = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no {name} in {body}"));
        value.parse().unwrap_or_else(|_| panic!("{name}: {value:?}"))
    }

    /// `tcproute status` of it.
    pub fn status(&self, more: &[&str]) -> Output {
        let mut status = Command::new(binary());
        status.arg("status").arg("--admin-socket").arg(self.admin_socket()).args(more);
        status.output().expect("tcproute can be started")
    }

    /// What `tcproute stats` prints of it.
    pub fn stats(&self, more: &[&str]) -> String {
        let mut stats = Command::new(binary());
        stats.arg("stats").arg("--admin-socket").arg(self.admin_socket()).args(more);
        crate::client::stdout(&stats.output().expect("tcproute can be started"))
    }

    /// Stops it as systemd would, and answers with its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.process.stop()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}
