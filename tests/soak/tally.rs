//! Every connection, judged and counted.

use anyhow::Result;
use fastrand::Rng;

use crate::{
    clients::Said,
    connection::{Connection, Line},
    history::{History, Verdict},
    mesh::{Addresses, workload_name},
    outcome::Outcome,
    shares::Shares,
};

pub(crate) struct Tally {
    pub(crate) connections: u64,
    pub(crate) refused: u64,
    pub(crate) wrong: u64,
    pub(crate) shares: Shares,
    /// What was wrong, as far as it is kept.
    pub(crate) complaints: Vec<String>,
}

/// More say nothing new.
const KEPT: usize = 20;

impl Tally {
    pub(crate) const fn new(rng: Rng) -> Self {
        Self { connections: 0, refused: 0, wrong: 0, shares: Shares::new(rng), complaints: Vec::new() }
    }

    /// To be told when the history is complete up to the end of the connection.
    pub(crate) fn take(&mut self, said: Said, history: &History, addresses: &Addresses) -> Result<()> {
        let (workload, line) = said;
        let line = line.map_err(anyhow::Error::msg)?;
        let (verdict, destination) = match &line {
            Line::Connection(connection) => {
                self.connections += 1;
                (history.judge(workload, connection), connection.destination)
            }
            Line::WrongPeer(seen) => (history.judge_peer(workload, seen), seen.destination),
        };
        match verdict {
            Verdict::Chosen(outcome, distribution) => {
                let key = (workload.unwrap_or_default(), destination);
                self.shares.count(key, outcome, &distribution);
                self.refused += u64::from(outcome == Outcome::Refused);
            }
            Verdict::Right(outcome) => self.refused += u64::from(outcome == Outcome::Refused),
            Verdict::Wrong(allowed) => {
                self.wrong += 1;
                if self.complaints.len() < KEPT {
                    let who = workload.map_or_else(|| "a process elsewhere".to_owned(), workload_name);
                    let dialled = addresses.destinations[destination].dialled;
                    let took = match &line {
                        Line::Connection(Connection { begin, end, .. }) => end - begin,
                        Line::WrongPeer(seen) => seen.at - seen.begin,
                    };
                    self.complaints.push(format!(
                        "{who} dialled {dialled}: {line} (in {} µs). Allowed: {allowed}",
                        took / 1000
                    ));
                }
            }
        }
        Ok(())
    }
}
