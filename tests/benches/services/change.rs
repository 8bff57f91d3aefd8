//! The weights of the last service are changed from all to one backend to all to the other, and a client that dials all
//! the time tells when the first connection obeys.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    process::Child,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tcproute_tests::{
    bench::comparison::Found,
    clock::{self, Time},
    wait_for,
};

use crate::{
    contenders::{By, Way},
    load::Contender,
    mesh::{ALL_TO, Weights},
    watch::Watch,
};

/// How long each of so many changes takes, from all to this backend on. They are handed over, which tells when that
/// was, and what it waits for.
pub(crate) fn measure(
    watch: &Watch,
    from: usize,
    tries: u32,
    patience: Duration,
    hand_over: &mut dyn FnMut(Weights) -> Result<(Time, Option<Child>)>,
) -> Result<Vec<Duration>> {
    // It is not measured, since some connections may obey already.
    let (_, child) = hand_over(ALL_TO[from])?;
    has_succeeded(child)?;
    watch.settled(from, false, patience)?;
    let (mut times, mut who) = (Vec::new(), from);
    for _ in 0..tries {
        who = 1 - who;
        let (since, child) = hand_over(ALL_TO[who])?;
        times.push(watch.answered_by(who, since, patience, &mut || Ok(()))?);
        has_succeeded(child)?;
        watch.settled(who, true, patience)?;
    }
    Ok(times)
}

fn has_succeeded(child: Option<Child>) -> Result<()> {
    let Some(mut child) = child else { return Ok(()) };
    let status = child.wait()?;
    ensure!(status.success(), "a change failed: {status}");
    Ok(())
}

impl Contender {
    /// By each way that there is.
    pub(crate) fn change(&self, tries: u32, patience: Duration, found: &mut Found) -> Result<()> {
        let mut from = 0;
        for way in &self.ways {
            self.forget()?;
            let watch = Watch::start(&self.site, self.dials)?;
            let hand_over = &mut |weights| self.hand_over(way, weights);
            let times = measure(&watch, from, tries, patience, hand_over);
            for time in times.with_context(|| way.figure.title)? {
                found.add(way.figure, time.as_secs_f64() * 1e3);
            }
            // Where the next way begins must not be where this one has ended: then nobody could see it happen.
            from = (from + tries as usize + 1) % 2;
        }
        Ok(())
    }

    /// What is written beforehand is not measured.
    fn hand_over(&self, way: &Way, weights: Weights) -> Result<(Time, Option<Child>)> {
        let text = (way.text)(weights);
        match &way.by {
            By::Rename(path) => {
                // Whoever follows a directory follows what is called as resources are.
                let new = path.with_extension("new");
                write(&new, &text)?;
                let since = clock::now()?;
                fs::rename(&new, path)?;
                Ok((since, None))
            }
            By::Command(path, command) => {
                write(path, &text)?;
                let (program, arguments) = command.split_first().context("no command")?;
                let mut command = self.site.namespace().command(program);
                command.args(arguments);
                let since = clock::now()?;
                Ok((since, Some(command.spawn().with_context(|| format!("cannot start {program}"))?)))
            }
            By::Signal(path) => {
                write(path, &text)?;
                let process = self.process.as_ref().context("there is no process")?;
                let pid = Pid::from_raw(process.0.id().try_into()?);
                // Until it has heard that the worker of before has ended, a signal may be lost.
                wait_for("it has one worker", || children(pid).is_none_or(|children| children <= 1));
                let since = clock::now()?;
                kill(pid, Signal::SIGUSR2)?;
                Ok((since, None))
            }
            By::Socket(path) => {
                let mut stream = UnixStream::connect(path).context("cannot connect to the socket")?;
                stream.set_read_timeout(Some(Duration::from_secs(10)))?;
                let since = clock::now()?;
                stream.write_all(text.as_bytes())?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer)?;
                ensure!(answer.trim().is_empty(), "the socket answers {}", answer.trim());
                Ok((since, None))
            }
        }
    }
}

/// How many a process has, if the kernel tells.
fn children(pid: Pid) -> Option<usize> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    Some(text.split_whitespace().count())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
