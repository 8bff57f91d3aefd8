//! One attempt: a process is held, something is done, and in the end it is in step or has ended.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};

use crate::{
    fault::{Calls, Fault},
    node::{Node, PATIENCE},
    process::shown,
    strace::{Hit, Strace},
};

/// So soon after a fault it is to be in step, or to have ended. How long it takes depends on the machine, too: what
/// takes longer is told, and past [`PATIENCE`] it is a failure.
const IN_STEP: Duration = Duration::from_secs(5);

/// What came of it.
pub(crate) struct Attempt {
    /// The calls that were made to fail.
    pub(crate) hits: Vec<Hit>,
    /// Those that were made, if they were listed.
    pub(crate) calls: Calls,
    /// How the process has ended, if it has.
    pub(crate) ended: Option<ExitStatus>,
    /// How many lines it had said before.
    pub(crate) said: usize,
}

/// What is seen from outside of what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Nothing,
    /// It has come about, and is not cleaned up after yet.
    InStep,
    All,
}

impl From<bool> for Seen {
    fn from(all: bool) -> Self {
        if all { Self::All } else { Self::Nothing }
    }
}

/// Holds the process of the node, does something, and waits until all of it is seen or the process has ended, however
/// it did. `least` is how long it is held if nothing fails meanwhile.
pub(crate) fn attempt<S: Into<Seen>>(
    node: &mut Node,
    fault: Option<&Fault>,
    least: Duration,
    act: impl FnOnce(&mut Node) -> Result<()>,
    see: impl Fn(&Node) -> S,
) -> Result<Attempt> {
    let (pid, said) = (node.process()?.pid(), node.process()?.said());
    let strace = fault.map_or_else(|| Strace::list(pid), |fault| Strace::inject(pid, fault))?;
    act(node)?;
    let begun = Instant::now();
    let ended = loop {
        let ended = node.process()?.ended()?;
        if ended.is_some() {
            break ended;
        }
        let hits = strace.hits();
        let is_over = begun.elapsed() >= least || !hits.is_empty();
        let seen = see(node).into();
        if is_over && seen == Seen::All {
            break None;
        }
        if hits.iter().any(is_impossible) {
            break None;
        }
        let since = match hits.last() {
            Some(hit) if seen == Seen::Nothing => hit.at,
            _ => begun,
        };
        ensure!(
            since.elapsed() < PATIENCE,
            "not in step after {PATIENCE:?}: {seen:?} is seen, {:?}, {hits:?}, log:\n{}",
            node.differs(),
            shown(&node.process()?.log_since(said))
        );
        thread::sleep(Duration::from_millis(2));
    };
    let (hits, calls) = strace.let_go();
    if let Some(Hit { at, line }) = hits.last()
        && at.elapsed() > IN_STEP
    {
        println!("late: in step or ended {:?} after {line}", at.elapsed());
    }
    Ok(Attempt { hits, calls, ended, said })
}

impl Attempt {
    fn is_first_map(&self) -> bool {
        self.hits.iter().all(|hit| hit.line.starts_with("mmap(") && hit.line.contains("MAP_ANONYMOUS"))
    }

    /// Whether something has failed that cannot.
    pub(crate) fn is_impossible(&self, log: &[String]) -> bool {
        self.hits.iter().any(is_impossible) || log.iter().any(|line| is_left_behind(line))
    }

    /// Why it has ended, in its own words. It must have told that, with a code that is not 0.
    pub(crate) fn reason(&self, status: ExitStatus, log: &[String], fault: &Fault) -> Result<String> {
        if let Some(signal) = status.signal()
            && !log.iter().any(|line| is_told(line, fault.error))
        {
            // Before it has begun, the dynamic linker does not look whether it gets memory.
            if fault.error == "ENOMEM" && log.is_empty() && self.is_first_map() {
                return Ok("the dynamic linker has no memory".to_owned());
            }
            bail!("it was ended by the signal {signal}: {}", shown(log));
        }
        ensure!(!status.success(), "it has ended with the code 0: {}", shown(log));
        let told = log.iter().rev().find(|line| is_told(line, fault.error));
        let is_mute = self.hits.iter().any(|hit| hit.line.starts_with("write(2<"));
        match told {
            Some(line) => Ok(line.clone()),
            None if is_mute => Ok("its log could not be written".to_owned()),
            None => bail!("it has ended with {status} and has not told why: {}", shown(log)),
        }
    }
}

/// Whether a call has failed that cannot: what a process tells itself knows no such errors.
fn is_impossible(Hit { line, .. }: &Hit) -> bool {
    // The byte by which tokio is told of a signal, and where it arrives.
    let tells = line.starts_with("sendto(") && line.contains("\"\\1\", 1,");
    let arrives = line.starts_with("recvfrom(") && line.contains(", 128, 0");
    // It reads flags of an open file: musl takes an error for flags, and tells another one.
    let reads_flags = line.starts_with("fcntl(") && line.contains("F_GETFL)");
    line.contains("[eventfd]") || tells || arrives || reads_flags
}

/// Whether strace has let go between a call and its error: then the kernel says that there is no such call. Where Rust
/// sleeps it takes any error but an interruption for a bug.
fn is_left_behind(line: &str) -> bool {
    let is_asleep = line.contains("assertion `left == right` failed") && line.contains("left: 38");
    line.contains("Function not implemented") || is_asleep
}

/// Whether a line tells of an error: by its text or, as some libraries do, by its name. The dynamic linker tells of
/// none.
fn is_told(line: &str, error: &str) -> bool {
    let is_linker = line.contains("error while loading shared libraries:");
    // What is said of threads that cannot be made.
    let is_thread = error == "ENOMEM" && line.contains("Resource temporarily unavailable");
    // What aya asks the kernel it answers itself if it gets an error.
    let is_hidden = line.contains("could not be asked what it can do");
    let is_text = texts(error).iter().any(|text| line.contains(text));
    is_linker || is_thread || is_hidden || is_text || line.contains(&format!("{error}: "))
}

/// The texts of an error: of glibc, and of musl.
fn texts(error: &str) -> &'static [&'static str] {
    match error {
        "EIO" => &["Input/output error", "I/O error"],
        "ENOMEM" => &["annot allocate memory", "Out of memory"],
        "EMFILE" => &["Too many open files", "No file descriptors available"],
        "ENOSPC" => &["No space left on device"],
        "EPERM" => &["Operation not permitted"],
        _ => &["Interrupted system call"],
    }
}
