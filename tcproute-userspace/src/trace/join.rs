//! From records to lines about connections: a decision waits a little for what comes of it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::Serialize;

use super::{Decision, Outcome, Record};

/// A line about a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
    /// What came of it so far.
    pub outcome: Outcome,
    /// Since the first SYN.
    pub microseconds: Option<u32>,
}

/// How long a decision waits.
const WAIT: Duration = Duration::from_millis(200);

/// Decisions of which the end is awaited at most; the oldest are given up.
const AWAITED: usize = 1 << 16;

/// Puts decisions and their ends together. Times are those since any fixed moment.
#[derive(Debug, Default)]
pub struct Joiner {
    awaited: BTreeMap<u64, Awaited>,
    /// The cookies of decisions of which no line was given yet, with the time when one is.
    waiting: VecDeque<(Duration, u64)>,
}

#[derive(Debug)]
struct Awaited {
    decision: Decision,
    told: bool,
}

impl Joiner {
    /// Takes a record, and gives the lines that are complete by it.
    pub fn take(&mut self, record: Record, now: Duration) -> Vec<Connection> {
        match record {
            Record::Decision(decision @ Decision { left: Some(left), .. }) => {
                vec![Connection { decision, outcome: left.into(), microseconds: None }]
            }
            Record::Decision(decision) if decision.endpoint.is_none() => {
                vec![Connection { decision, outcome: Outcome::NoEndpoint, microseconds: None }]
            }
            Record::Decision(decision) => {
                let cookie = decision.cookie;
                // Of a socket that is used again the end before has been told; if it was lost, so is the decision.
                self.awaited.insert(cookie, Awaited { decision, told: false });
                self.waiting.push_back((now + WAIT, cookie));
                if self.awaited.len() > AWAITED {
                    self.awaited.pop_first();
                }
                Vec::new()
            }
            Record::End { cookie, outcome, microseconds, .. } => {
                let awaited = self.awaited.remove(&cookie);
                let line = |Awaited { decision, .. }| Connection { decision, outcome, microseconds };
                awaited.map(line).into_iter().collect()
            }
            Record::Lost { .. } => Vec::new(),
        }
    }

    /// Whether any has not been told.
    pub fn is_waiting(&self) -> bool {
        self.waiting.iter().any(|(_, cookie)| self.awaited.get(cookie).is_some_and(|awaited| !awaited.told))
    }

    /// The decisions that have waited long enough.
    pub fn overdue(&mut self, now: Duration) -> Vec<Connection> {
        let mut lines = Vec::new();
        while self.waiting.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, cookie)) = self.waiting.pop_front() else { break };
            if let Some(awaited) = self.awaited.get_mut(&cookie).filter(|awaited| !awaited.told) {
                awaited.told = true;
                let decision = awaited.decision.clone();
                lines.push(Connection { decision, outcome: Outcome::Pending, microseconds: None });
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn decision(cookie: u64) -> Record {
        Record::Decision(Decision {
            cookie,
            time: Timestamp::UNIX_EPOCH,
            pid: Some(7),
            command: "psql".to_owned(),
            dataplane: "web".to_owned(),
            service: "db".to_owned(),
            dialled: ([127, 0, 0, 1], 5432).into(),
            policies: Vec::new(),
            backend: None,
            endpoint: Some(([127, 0, 0, 2], 5432).into()),
            left: None,
        })
    }

    fn end(cookie: u64, outcome: Outcome) -> Record {
        Record::End {
            cookie,
            time: Timestamp::UNIX_EPOCH,
            dialled: ([127, 0, 0, 1], 5432).into(),
            endpoint: ([127, 0, 0, 2], 5432).into(),
            outcome,
            microseconds: Some(250),
        }
    }

    fn outcomes(lines: &[Connection]) -> Vec<(u64, Outcome)> {
        lines.iter().map(|line| (line.decision.cookie, line.outcome)).collect()
    }

    #[test]
    fn a_line_has_the_decision_and_its_end() {
        let mut joiner = Joiner::default();
        assert_eq!(joiner.take(decision(1), Duration::ZERO), []);
        let lines = joiner.take(end(1, Outcome::Established), Duration::from_millis(1));
        assert_eq!((outcomes(&lines), lines[0].microseconds), (vec![(1, Outcome::Established)], Some(250)));
        assert_eq!(joiner.overdue(Duration::from_secs(9)), []);
    }

    #[test]
    fn what_takes_long_is_told_twice() {
        let mut joiner = Joiner::default();
        joiner.take(decision(1), Duration::ZERO);
        joiner.take(decision(2), Duration::from_millis(100));
        assert_eq!(joiner.overdue(Duration::from_millis(199)), []);
        assert_eq!(outcomes(&joiner.overdue(Duration::from_millis(200))), [(1, Outcome::Pending)]);
        assert_eq!(outcomes(&joiner.overdue(Duration::from_secs(1))), [(2, Outcome::Pending)]);
        assert_eq!(joiner.overdue(Duration::from_secs(2)), []);
        let lines = joiner.take(end(1, Outcome::TimedOut), Duration::from_secs(130));
        assert_eq!(outcomes(&lines), [(1, Outcome::TimedOut)]);
    }

    #[test]
    fn ends_of_decisions_before_the_first_are_left_out() {
        assert_eq!(Joiner::default().take(end(1, Outcome::Refused), Duration::ZERO), []);
    }

    #[test]
    fn a_record_is_a_line_of_json() {
        for record in [decision(3), end(3, Outcome::TimedOut), Record::Lost { records: 2, dataplane: None }] {
            let line = serde_json::to_string(&record).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
        }
    }
}
