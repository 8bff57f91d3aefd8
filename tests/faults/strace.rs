//! strace(1): it lists the system calls of a process, or has one of them fail. It holds on to a process that runs, and
//! lets it go again.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::fault::{Calls, Fault};

/// It lets its process go when this is dropped.
pub(crate) struct Strace {
    child: Child,
    seen: Arc<Mutex<Seen>>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    holds: bool,
    /// By thread and name.
    made: BTreeMap<(String, String), u32>,
    /// What a thread has begun and not ended yet.
    begun: BTreeMap<String, String>,
    hits: Vec<Hit>,
    complaints: Vec<String>,
}

/// A call that was made to fail.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) at: Instant,
    /// As strace shows it.
    pub(crate) line: String,
}

/// It takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

const LETTING_GO: Duration = Duration::from_secs(1);

impl Strace {
    /// Whether it can be used here, or why not.
    pub(crate) fn check() -> Result<()> {
        let output = Command::new("strace").arg("-V").output().context("there is no strace")?;
        ensure!(output.status.success(), "strace does not work: {}", output.status);
        Ok(())
    }

    /// Lists all calls of a process from now on.
    pub(crate) fn list(pid: u32) -> Result<Self> {
        Self::hold(pid, &[])
    }

    /// Has one of its calls fail.
    pub(crate) fn inject(pid: u32, Fault { call, nth, error }: &Fault) -> Result<Self> {
        let inject = format!("inject={call}:error={error}:when={nth}");
        Self::hold(pid, &["-e", &format!("trace={call}"), "-e", &inject])
    }

    fn hold(pid: u32, what: &[&str]) -> Result<Self> {
        let mut command = Command::new("strace");
        // With the files that descriptors stand for.
        command.args(["-f", "-y", "-e", "signal=none"]).args(what).args(["-p", &pid.to_string()]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("strace cannot be started")?;
        let seen = Arc::<Mutex<Seen>>::default();
        let stderr = child.stderr.take().context("stderr is piped")?;
        let into = Arc::clone(&seen);
        let reader = Some(thread::spawn(move || read(stderr, &into)));
        let strace = Self { child, seen, reader };
        let begun = Instant::now();
        while !strace.seen().holds {
            ensure!(begun.elapsed() < PATIENCE, "strace does not hold: {:?}", strace.seen().complaints);
            thread::sleep(Duration::from_millis(1));
        }
        Ok(strace)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calls that were made to fail so far.
    pub(crate) fn hits(&self) -> Vec<Hit> {
        self.seen().hits.clone()
    }

    /// Lets the process go, and tells which calls were made to fail, and which were made.
    pub(crate) fn let_go(mut self) -> (Vec<Hit>, Calls) {
        self.end();
        let mut most: BTreeMap<String, u32> = BTreeMap::new();
        for ((_, call), made) in &self.seen().made {
            let before = most.entry(call.clone()).or_default();
            *before = (*before).max(*made);
        }
        (self.hits(), Calls::new(most))
    }

    fn end(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id())
            && matches!(self.child.try_wait(), Ok(None))
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            // It may wait for ever for a process that has just ended. The kernel lets go of what it has held.
            if begun.elapsed() > LETTING_GO {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(1));
        }
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.end();
    }
}

fn read(stderr: ChildStderr, into: &Mutex<Seen>) {
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
        seen.take(&line);
    }
}

impl Seen {
    fn take(&mut self, line: &str) {
        if let Some(said) = line.strip_prefix("strace: ") {
            // "Process 7 attached", of each thread or of all.
            self.holds |= said.contains(" attached");
            if !self.holds {
                self.complaints.push(said.to_owned());
            }
            return;
        }
        let (thread, said) = match line.strip_prefix("[pid ").and_then(|rest| rest.split_once("] ")) {
            Some((thread, said)) => (thread.trim(), said),
            None => ("", line),
        };
        if let Some(begun) = said.strip_suffix("<unfinished ...>") {
            self.begun.insert(thread.to_owned(), begun.to_owned());
        }
        // The end of one that was begun on another line is "<... name resumed>".
        let begun = said.starts_with("<...").then(|| self.begun.remove(thread)).flatten();
        if said.ends_with("(INJECTED)") {
            let line = begun.unwrap_or_default() + said;
            self.hits.push(Hit { at: Instant::now(), line });
        }
        if let Some((name, _)) = said.split_once('(')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            *self.made.entry((thread.to_owned(), name.to_owned())).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_where_they_begin_and_those_that_fail_are_told() {
        let mut seen = Seen::default();
        for line in [
            "strace: Process 7 attached with 2 threads",
            "[pid     7] read(3<pipe:[1]>,  <unfinished ...>",
            "[pid     8] read(4</tmp/x>, \"(\", 1) = 1",
            "[pid     7] <... read resumed>\"\", 8) = -1 EIO (Input/output error) (INJECTED)",
            "[pid     7] read(3<pipe:[1]>, \"\", 8) = 0",
            "write(2</tmp/log>, \"x\", 1) = -1 EIO (Input/output error) (INJECTED)",
            "+++ exited with 1 +++",
        ] {
            seen.take(line);
        }
        assert!(seen.holds);
        let of = |thread: &str, call: &str| seen.made.get(&(thread.to_owned(), call.to_owned())).copied();
        assert_eq!((of("7", "read"), of("8", "read"), of("", "write")), (Some(2), Some(1), Some(1)));
        assert_eq!((seen.made.len(), seen.hits.len()), (3, 2));
        assert!(seen.hits[0].line.starts_with("read(3<pipe:[1]>"), "{:?}", seen.hits);
    }
}
