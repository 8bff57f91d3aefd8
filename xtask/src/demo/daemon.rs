//! `tcproute run` for the demo: a daemon of its own, with a workload in a cgroup of its own, beside whatever runs here.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::leftovers;

/// How long a start may take: it takes well under a second.
const START: Duration = Duration::from_secs(30);

/// The file in its directory that is exchanged.
const EXCHANGED: &str = "last.yaml";

/// A daemon that follows a directory. It is gone, with all that it has made, when it is dropped.
pub(super) struct Daemon {
    // In the order in which they have to go.
    process: Running,
    cgroup: Cgroup,
    _bpffs: Bpffs,
    directory: tempfile::TempDir,
}

impl Daemon {
    /// Starts it with copies of these files, and waits until their routes are in force.
    pub(super) fn start(binary: &Path, files: &[PathBuf], dataplane: &str) -> Result<Self> {
        let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
        let bpffs = Bpffs::mount(directory.path().join("bpffs"))?;
        let cgroup = Cgroup::make()?;
        let resources = directory.path().join("mesh");
        fs::create_dir(&resources).context("cannot make a directory for the resources")?;
        let (last, others) = files.split_last().context("no files to follow")?;
        for file in others {
            copy(file, &resources.join(file.file_name().unwrap_or_default()))?;
        }
        copy(last, &resources.join(EXCHANGED))?;
        let mut run = Command::new(binary);
        run.arg("run").arg("--resources").arg(&resources).arg("--bpffs").arg(&bpffs.0);
        run.arg("--admin-socket").arg(directory.path().join("run/admin.sock"));
        run.arg("--state-dir").arg(directory.path().join("state"));
        run.arg("--workload").arg(format!("{dataplane}={}", cgroup.0.display()));
        let process = Running::start(run)?;
        Ok(Self { process, cgroup, _bpffs: bpffs, directory })
    }

    /// Puts another file in the place of the last one, as an operator would: by renaming.
    pub(super) fn exchange(&self, file: &Path) -> Result<()> {
        let written = self.directory.path().join("written");
        copy(file, &written)?;
        fs::rename(&written, self.directory.path().join("mesh").join(EXCHANGED))
            .with_context(|| format!("cannot put {} in place", file.display()))
    }

    /// A command that will run as the workload.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.cgroup.0.join("cgroup.procs"));
        command.arg(program);
        command
    }

    /// The name of the cgroup, which goes with the daemon.
    pub(super) fn cgroup(&self) -> String {
        self.cgroup.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Ends it as systemd would.
    pub(super) fn stop(mut self) -> Result<()> {
        self.process.terminate();
        let status = self.process.0.wait().context("cannot wait for tcproute")?;
        if !status.success() {
            bail!("tcproute run has ended with {status}");
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("cannot copy {}", from.display()))
}

struct Running(Child);

impl Running {
    fn start(mut run: Command) -> Result<Self> {
        let child = run.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut running = Self(child.context("cannot start tcproute")?);
        let log = running.0.stderr.take().context("the log is not piped")?;
        let (sender, lines) = mpsc::channel();
        // It reads to the end, so that the daemon never waits for somebody to read.
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let deadline = Instant::now() + START;
        let mut said = Vec::new();
        while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if line.contains("routes in force") {
                return Ok(running);
            }
            said.push(line);
        }
        bail!("tcproute run does not come up:\n{}", said.join("\n"))
    }

    fn terminate(&self) {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.terminate();
            let _ = self.0.wait();
        }
    }
}

/// A bpffs of its own: what is pinned there goes with it.
struct Bpffs(PathBuf);

impl Bpffs {
    fn mount(path: PathBuf) -> Result<Self> {
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        mount(Some("bpf"), &path, Some("bpf"), MsFlags::empty(), None::<&str>)
            .context("cannot mount a bpffs")?;
        Ok(Self(path))
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

struct Cgroup(PathBuf);

impl Cgroup {
    fn make() -> Result<Self> {
        let mount = leftovers::cgroup2()?.into_iter().next().context("cgroup2 is not mounted")?;
        let path = mount.join(format!("tcproute-demo-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
