//! One life of `tcproute run`.

use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tcproute_tests::tcproute::{binary, run_arguments};

/// It is killed when this is dropped.
pub(crate) struct Daemon {
    child: Child,
    log: Arc<Mutex<Log>>,
    socket: PathBuf,
}

#[derive(Default)]
struct Log {
    in_force: bool,
    growths: u64,
    last: VecDeque<String>,
}

/// So much of its log is kept, for when something is wrong.
const KEPT: usize = 40;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it holds open.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) files: usize,
    pub(crate) programs: BTreeSet<u32>,
    pub(crate) maps: BTreeSet<u32>,
}

impl Daemon {
    /// `run` is a directory for its socket.
    pub(crate) fn start(
        resources: &Path,
        bpffs: &Path,
        run: &Path,
        workloads: &[(&str, &Path)],
        more: &[&str],
    ) -> Result<Self> {
        let socket = run.join("tcproute/admin.sock");
        let mut command = Command::new(binary());
        let command = run_arguments(&mut command, resources, bpffs, &socket, workloads).args(more);
        let command = command.process_group(0).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start tcproute")?;
        let log = Arc::new(Mutex::new(Log::default()));
        let written = Arc::clone(&log);
        let stderr = child.stderr.take().context("stderr is piped")?;
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = written.lock().unwrap_or_else(PoisonError::into_inner);
                // Not the line about new ones.
                log.in_force |= line.contains(" routes in force") && !line.contains("new routes");
                log.growths += u64::from(line.contains("maps made larger"));
                log.last.push_back(line);
                if log.last.len() > KEPT {
                    log.last.pop_front();
                }
            }
        });
        Ok(Self { child, log, socket })
    }

    /// Whether it has said that its first routes are in force.
    pub(crate) fn is_in_force(&self) -> bool {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).in_force
    }

    /// How often it has said that it has made the maps larger.
    pub(crate) fn growths(&self) -> u64 {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).growths
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for line in &log.last {
            text.push_str("tcproute: ");
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// As systemd would.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < deadline, "tcproute does not end after SIGTERM\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        };
        ensure!(status.success(), "tcproute ends with {status} after SIGTERM");
        Ok(())
    }

    /// The body of an answer with code 200.
    pub(crate) fn get(&self, path: &str) -> Result<String> {
        let mut stream = UnixStream::connect(&self.socket).context("the admin endpoint is closed")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // By 1.0 the body ends with the connection.
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).with_context(|| format!("no answer to {path}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{path}: {answer:?}"))?;
        ensure!(head.contains(" 200 "), "{path}: {answer}");
        Ok(body.to_owned())
    }

    pub(crate) fn json(&self, path: &str) -> Result<Value> {
        let body = self.get(path)?;
        serde_json::from_str(&body).with_context(|| format!("{path}: {body}"))
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("there is no VmRSS")?;
        let number = line.split_whitespace().next().context("VmRSS is empty")?;
        Ok(number.parse()?)
    }

    pub(crate) fn held(&self) -> Result<Held> {
        let mut held = Held::default();
        for entry in fs::read_dir(format!("/proc/{}/fdinfo", self.child.id()))? {
            held.files += 1;
            // It may have been closed meanwhile.
            let Ok(info) = fs::read_to_string(entry?.path()) else { continue };
            held.note(&info);
        }
        Ok(held)
    }
}

impl Held {
    /// Takes up what `/proc/PID/fdinfo` says of a file.
    fn note(&mut self, info: &str) {
        let id = |name: &str| {
            let id = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            id.and_then(|id| id.trim().parse::<u32>().ok())
        };
        self.programs.extend(id("prog_id"));
        self.maps.extend(id("map_id"));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A whole number of `/metrics`, by its name and labels as they are written there.
pub(crate) fn metric(metrics: &str, name: &str) -> Result<u64> {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.with_context(|| format!("there is no {name}"))?;
    value.parse().with_context(|| format!("{name}: {value}"))
}

/// Of a metric with labels, all its values together.
pub(crate) fn sum_of_metric(metrics: &str, name: &str) -> Result<u64> {
    let lines =
        metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} "));
    lines.map(|(_, value)| value.parse::<u64>().with_context(|| format!("{name}: {value}"))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_maps_are_told_from_other_files() {
        let mut held = Held::default();
        for program in [70, 71] {
            held.note(&format!("pos:\t0\nprog_type:\t18\nprog_tag:\tab\nprog_id:\t{program}\n"));
        }
        held.note("pos:\t0\nmap_type:\t1\nmemlock:\t4096\nmap_id:\t12\n");
        held.note("pos:\t0\nflags:\t02\nmnt_id:\t15\n");
        assert_eq!((held.programs, held.maps), ([70, 71].into(), [12].into()));
    }

    #[test]
    fn metrics_are_found_by_their_whole_name() {
        let metrics = "tcproute_ready 1\ntcproute_ready_x 2\ntcproute_map_entries{map=\"routes\"} 7\n";
        assert_eq!(metric(metrics, "tcproute_ready").unwrap(), 1);
        assert_eq!(metric(metrics, "tcproute_map_entries{map=\"routes\"}").unwrap(), 7);
        assert!(metric(metrics, "tcproute").is_err());
        let metrics = "x{a=\"b\"} 2\nx{a=\"c\"} 3\nxy{a=\"b\"} 9\n";
        assert_eq!((sum_of_metric(metrics, "x").unwrap(), sum_of_metric(metrics, "z").unwrap()), (5, 0));
    }
}
