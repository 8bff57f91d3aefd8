//! Programs that another thread may stop.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// What runs one program after the other, and none once it is stopped.
#[derive(Default)]
pub(crate) struct Stoppable(Mutex<State>);

#[derive(Default)]
struct State {
    is_stopped: bool,
    child: Option<Child>,
}

impl Stoppable {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By SIGTERM, since SIGINT is ignored below a shell's `&`. Nothing is started any more.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.is_stopped = true;
        // It has not been waited for, so the number is still its own.
        if let Some(pid) = state.child.as_ref().and_then(|child| i32::try_from(child.id()).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// Runs it to its end and hands on each line that it says. If it fails, the last one is the error.
    pub(crate) fn run(&self, command: &mut Command, say: &mut impl FnMut(&str)) -> Result<()> {
        let mut state = self.state();
        if state.is_stopped {
            bail!("it was stopped");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("it cannot be started")?;
        let said = child.stderr.take().context("it says nothing")?;
        state.child = Some(child);
        drop(state);
        let mut last = String::new();
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            say(&line);
            last = line;
        }
        let mut state = self.state();
        let mut child = state.child.take().context("it is waited for once")?;
        if child.wait()?.success() { Ok(()) } else { bail!("{last}") }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn what_is_said_is_handed_on_and_the_last_of_it_is_the_error() {
        let mut lines = Vec::new();
        let script = "echo compiling >&2; echo no such module >&2; exit 1";
        let result = Stoppable::default()
            .run(Command::new("sh").args(["-c", script]), &mut |line: &str| lines.push(line.to_owned()));
        assert_eq!(result.unwrap_err().to_string(), "no such module");
        assert_eq!(lines, ["compiling", "no such module"]);
    }

    #[test]
    fn what_is_stopped_ends_and_nothing_is_started_after_it() {
        let work = Arc::new(Stoppable::default());
        let shared = Arc::clone(&work);
        let begin = Instant::now();
        let thread = thread::spawn(move || shared.run(Command::new("sleep").arg("600"), &mut |_: &str| ()));
        while work.state().child.is_none() {
            thread::yield_now();
        }
        work.stop();
        thread.join().unwrap().unwrap_err();
        assert!(begin.elapsed() < Duration::from_mins(10));
        work.run(&mut Command::new("true"), &mut |_: &str| ()).unwrap_err();
    }
}
