//! One of the two servers of a control plane: started, killed, started again.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::keeper::{Keeper, Kept};
use crate::wait_for;

pub(super) struct Server {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    /// Of all its runs.
    log: PathBuf,
    running: Option<Kept>,
}

/// So many lines of its log tell why it has ended.
const TOLD: usize = 20;

impl Server {
    /// It is not started yet.
    pub(super) fn new(name: &'static str, program: &Path, arguments: Vec<String>, keeper: &Keeper) -> Self {
        let log = keeper.directory().join(format!("{name}.log"));
        Self { name, program: program.to_owned(), arguments, log, running: None }
    }

    /// Starts it and waits until it is ready. If it ends instead, tells what it has said.
    pub(super) fn start(
        &mut self,
        keeper: &Keeper,
        mut is_ready: impl FnMut() -> bool,
    ) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(&self.log).expect("a log can be made");
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(keeper.directory()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        let mut running = keeper.spawn(self.name, &mut command);
        let mut ended = false;
        wait_for(&format!("{} is ready", self.name), || {
            ended = running.has_ended();
            ended || is_ready()
        });
        if ended {
            return Err(format!("{} has ended:\n{}", self.name, self.last_lines()));
        }
        self.running = Some(running);
        Ok(())
    }

    /// kill -9
    pub(super) fn kill(&mut self) {
        self.running = None;
    }

    fn last_lines(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TOLD)..].join("\n")
    }
}
