//! The clients' processes. Each connection is compared with those who may have answered while it was made.

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    process::{Child, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};
use tcproute_tests::{
    cgroup::TestCgroup,
    clock::{self, Time},
};

use crate::client::Connection;

/// Who may answer.
pub(crate) type Names = BTreeSet<&'static str>;

/// It ends when this is dropped.
pub(crate) struct Client {
    child: Child,
    judge: Arc<Mutex<Judge>>,
    reader: Option<JoinHandle<()>>,
}

/// Compares connections with what may be.
#[derive(Debug, Default)]
struct Judge {
    /// Since when who may answer, the oldest first.
    allowed: Vec<(Time, Names)>,
    connections: u64,
    last: Option<Connection>,
    wrong: Vec<String>,
}

/// So many wrong ones are told.
const TOLD: usize = 5;
/// So much of the past is known.
const KEPT: usize = 8;

impl Client {
    /// Starts one in a cgroup, where these may answer.
    pub(crate) fn start(cgroup: &TestCgroup, dialled: SocketAddr, names: Names) -> Result<Self> {
        let program = env::current_exe().context("where is this program?")?;
        let mut command = cgroup.command(program.to_str().context("its path is not UTF-8")?);
        command.args(["client", &dialled.to_string()]);
        // Ctrl-C is for this process, which then ends its clients.
        let command = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start a client")?;
        let output = child.stdout.take().context("it is piped")?;
        let judge = Arc::new(Mutex::new(Judge { allowed: vec![(0, names)], ..Judge::default() }));
        let into = Arc::clone(&judge);
        let reader = thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                into.lock().unwrap_or_else(PoisonError::into_inner).take(&line);
            }
        });
        Ok(Self { child, judge, reader: Some(reader) })
    }

    fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these may answer, and nobody else.
    pub(crate) fn allow(&self, names: Names) -> Result<()> {
        let mut judge = self.judge();
        judge.allowed.push((clock::now()?, names));
        let forgotten = judge.allowed.len().saturating_sub(KEPT);
        judge.allowed.drain(..forgotten);
        Ok(())
    }

    /// From now on this one may answer, too.
    pub(crate) fn allow_also(&self, name: &'static str) -> Result<()> {
        let mut all = self.judge().allowed.last().map(|(_, names)| names.clone()).unwrap_or_default();
        all.insert(name);
        self.allow(all)
    }

    /// Who answered the last connection.
    pub(crate) fn last(&self) -> Option<String> {
        self.last_since(0)
    }

    /// Who answered the last connection, if it began after that.
    pub(crate) fn last_since(&self, since: Time) -> Option<String> {
        self.judge().last.as_ref().filter(|last| last.begin > since).map(|last| last.answer.clone())
    }

    pub(crate) fn connections(&self) -> u64 {
        self.judge().connections
    }

    /// Those that nobody should have answered who did, since this was asked last.
    pub(crate) fn wrong(&self) -> Vec<String> {
        std::mem::take(&mut self.judge().wrong)
    }
}

impl Judge {
    fn take(&mut self, line: &str) {
        self.connections += 1;
        match line.parse::<Connection>() {
            Ok(connection) => {
                if !self.allows(&connection) && self.wrong.len() < TOLD {
                    self.wrong.push(format!("{} answered, and not {:?}", connection.answer, self.allowed));
                }
                self.last = Some(connection);
            }
            Err(error) => self.wrong.push(error),
        }
    }

    /// Whether any that may have answered at a time within the connection did.
    fn allows(&self, Connection { begin, end, answer }: &Connection) -> bool {
        let ends = self.allowed.iter().skip(1).map(|(since, _)| *since).chain([Time::MAX]);
        let mut during =
            self.allowed.iter().zip(ends).filter(|((since, _), until)| since <= end && begin <= until);
        during.any(|((_, names), _)| names.contains(answer.as_str()))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_answer_at_any_time_within_a_connection_may() {
        let mut judge = Judge {
            allowed: vec![(0, ["a"].into()), (10, ["a", "b"].into()), (20, ["b"].into())],
            ..Judge::default()
        };
        for right in ["1 2 a", "8 12 b", "19 30 a", "21 22 b"] {
            judge.take(right);
        }
        assert_eq!(judge.wrong, [""; 0]);
        for wrong in ["1 2 b", "21 22 a", "11 12 error: refused", "nonsense"] {
            judge.take(wrong);
        }
        assert_eq!((judge.wrong.len(), judge.connections), (4, 8));
    }
}
