//! A process of tcproute that begins when it is told to: so strace holds it from its first system call on.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// It begins when this is closed.
    gate: Option<ChildStdin>,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(4);

/// So many lines of its log are shown.
const SHOWN: usize = 12;

impl Process {
    /// Prepares a command, which is yet to begin.
    pub(crate) fn prepare(command: &Command) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell.env("RUST_BACKTRACE", "0");
        shell
            .args(["-c", "read gate; exec \"$0\" \"$@\""])
            .arg(command.get_program())
            .args(command.get_args());
        // Ctrl-C is for this process, which then ends the other.
        let shell = shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = shell.spawn().context("tcproute cannot be started")?;
        let log = Arc::<Mutex<Vec<String>>>::default();
        let stderr = child.stderr.take().context("stderr is piped")?;
        let into = Arc::clone(&log);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                into.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let gate = child.stdin.take();
        Ok(Self { child, gate, log, reader: Some(reader) })
    }

    /// Lets it begin.
    pub(crate) fn begin(&mut self) {
        self.gate = None;
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let ended = self.child.try_wait()?;
        if ended.is_some()
            && let Some(reader) = self.reader.take()
        {
            // All that it has said.
            let _ = reader.join();
        }
        Ok(ended)
    }

    /// As systemd would.
    pub(crate) fn terminate(&self) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?)
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many lines it has said.
    pub(crate) fn said(&self) -> usize {
        self.lines().len()
    }

    /// What it has said since then.
    pub(crate) fn log_since(&self, said: usize) -> Vec<String> {
        self.lines().iter().skip(said).cloned().collect()
    }

    /// Asks its admin endpoint.
    pub(crate) fn json(socket: &Path, path: &str) -> Result<Value> {
        let mut stream = UnixStream::connect(socket).context("the admin endpoint is closed")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // By 1.0 the body ends with the connection.
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).with_context(|| format!("no answer to {path}"))?;
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("{path}: {answer:?}") };
        ensure!(head.contains(" 200 "), "{path}: {answer}");
        serde_json::from_str(body).with_context(|| format!("{path}: {body}"))
    }
}

/// The end of a log.
pub(crate) fn shown(log: &[String]) -> String {
    log[log.len().saturating_sub(SHOWN)..].join("\n")
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
