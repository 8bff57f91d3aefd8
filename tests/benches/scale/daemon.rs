//! The daemon with files: how long its start takes, what memory it needs, and how soon a changed file is in force.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tcproute_tests::{
    cgroup::TestCgroup,
    tcproute::{Bpffs, binary, run_arguments},
};

use crate::{
    input::{self, Size},
    latency::{Latencies, TRIES},
};

/// What was measured.
pub(crate) struct Measured {
    /// Bytes of input.
    pub(crate) input: u64,
    pub(crate) ready: Duration,
    /// Resident bytes when the routes were in force, and the most until then and after all changes.
    pub(crate) at_rest: u64,
    pub(crate) peak_of_start: u64,
    pub(crate) peak: u64,
    pub(crate) weight_in_own_file: Latencies,
    pub(crate) weight_in_large_file: Latencies,
    pub(crate) endpoint: Latencies,
    pub(crate) workload: Latencies,
}

/// It is killed when this is dropped.
struct Daemon {
    child: Child,
    lines: Receiver<(Instant, String)>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_mins(5);

impl Daemon {
    fn start(directory: &Path, bpffs: &Bpffs, workloads: &[(&str, &Path)]) -> Result<Self> {
        let mut command = Command::new(binary());
        let socket = directory.with_extension("sock");
        let command = run_arguments(&mut command, directory, bpffs.path(), &socket, workloads);
        // Where two million routes must fit.
        let command = command.args(["--max-map-memory", "8192", "--max-routes-per-workload", "1000000"]);
        let mut child =
            command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context("cannot start tcproute")?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// When it said this.
    fn said(&self, text: &str) -> Result<Instant> {
        let mut last = String::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok((at, line)) if line.contains(text) => return Ok(at),
                Ok((_, line)) => last = line,
                Err(error) => bail!("tcproute does not say {text:?}: {error}; it said last: {last}"),
            }
        }
    }

    /// Bytes of a line in `/proc/PID/status`.
    fn memory(&self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1).or(line.split_whitespace().next()));
        let kib: u64 = number.context("the kernel does not tell")?.trim_start_matches(':').parse()?;
        Ok(kib << 10)
    }
}

/// As an editor or a configuration agent does it.
fn replace(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    Ok(fs::rename(&new, path)?)
}

fn bytes_in(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

/// Starts it, and changes what it follows.
pub(crate) fn measure(size: Size) -> Result<Measured> {
    let directory = tempfile::tempdir()?;
    let files = directory.path().join("resources");
    fs::create_dir(&files)?;
    let file = |name: &str| -> PathBuf { files.join(name) };
    fs::write(file("endpoints.yaml"), size.endpoints())?;
    fs::write(file("endpoint.yaml"), input::endpoint(0, 0, false))?;
    fs::write(file("policies.yaml"), size.policies(90))?;
    fs::write(file("policy.yaml"), input::policy(0, 90))?;
    let locals: String = (0..size.workloads).map(|workload| size.local(workload)).collect();
    fs::write(file("locals.yaml"), &locals)?;
    drop(locals);
    let input = bytes_in(&files)?;

    let (parent, bpffs) = (TestCgroup::create(), Bpffs::mount());
    let cgroups: Vec<(String, TestCgroup)> = (0..size.workloads)
        .map(|workload| (input::dataplane(workload), parent.child(&format!("workload-{workload}"))))
        .collect();
    let pattern = parent.path().join("new-*");
    let first = input::dataplane(0);
    let mut workloads: Vec<(&str, &Path)> =
        cgroups.iter().map(|(name, cgroup)| (name.as_str(), cgroup.path())).collect();
    workloads.push((&first, &pattern));
    let begun = Instant::now();
    let daemon = Daemon::start(&files, &bpffs, &workloads)?;
    let ready = daemon.said(" routes in force workloads")?.duration_since(begun);
    let (at_rest, peak_of_start) = (daemon.memory("VmRSS")?, daemon.memory("VmHWM")?);

    let changes = |change: &dyn Fn(usize) -> Result<()>, said: &str| -> Result<Latencies> {
        let mut times = Vec::new();
        for number in 0..TRIES {
            let begun = Instant::now();
            change(number)?;
            times.push(daemon.said(said)?.duration_since(begun));
        }
        Ok(Latencies::new(times))
    };
    let weight = |number: usize| 50 + u32::try_from(number).unwrap_or(0);
    let in_force = "new routes in force";
    let weight_in_own_file =
        changes(&|number| replace(&file("policy.yaml"), &input::policy(0, weight(number))), in_force)?;
    // Written beforehand: writing it is not what is measured.
    let texts: Vec<String> = (0..TRIES).map(|number| size.policies(weight(number))).collect();
    let weight_in_large_file = changes(&|number| replace(&file("policies.yaml"), &texts[number]), in_force)?;
    let endpoint = changes(
        &|number| replace(&file("endpoint.yaml"), &input::endpoint(0, 0, number % 2 == 0)),
        in_force,
    )?;
    // The new workloads have routes that are in no input.
    let peak = daemon.memory("VmHWM")?;
    let new = std::cell::RefCell::new(Vec::new());
    let workload = changes(
        &|number| {
            new.borrow_mut().push(parent.child(&format!("new-{number}")));
            Ok(())
        },
        " attached",
    )?;
    drop(daemon);
    Ok(Measured {
        input,
        ready,
        at_rest,
        peak_of_start,
        peak,
        weight_in_own_file,
        weight_in_large_file,
        endpoint,
        workload,
    })
}
