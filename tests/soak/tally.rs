//! Every connection, judged and counted.

use anyhow::Result;
use fastrand::Rng;

use crate::{
    clients::Said,
    connection::Line,
    extent::workload_name,
    history::{History, Verdict},
    mesh::Addresses,
    outcome::Outcome,
    shares::Shares,
};

pub(crate) struct Tally {
    pub(crate) connections: u64,
    pub(crate) refused: u64,
    pub(crate) wrong: u64,
    pub(crate) shares: Shares,
}

/// So many are shown: more say nothing new.
const SHOWN: u64 = 20;

impl Tally {
    pub(crate) const fn new(rng: Rng) -> Self {
        Self { connections: 0, refused: 0, wrong: 0, shares: Shares::new(rng) }
    }

    /// To be told when the history is complete up to the end of the connection. `doing` is what is under way.
    pub(crate) fn take(
        &mut self,
        said: Said,
        history: &History,
        addresses: &Addresses,
        doing: &str,
    ) -> Result<()> {
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
                if self.wrong <= SHOWN {
                    let who = workload.map_or_else(|| "a process elsewhere".to_owned(), workload_name);
                    let dialled = addresses.destinations[destination].dialled;
                    println!(
                        "soak: WRONG: {who} dialled {dialled}: {line}. Allowed: {allowed}. Last done: {doing}"
                    );
                    if let Line::Connection(connection) = &line {
                        let took = (connection.end - connection.begin) / 1000;
                        let elsewhere = history.elsewhere(connection).join("; ");
                        println!("soak: it took {took} µs, and would have been right by: {elsewhere}");
                    }
                }
            }
        }
        Ok(())
    }
}
