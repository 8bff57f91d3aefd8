//! From records to lines about connections: a decision waits a little for what comes of it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use jiff::Timestamp;
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
    /// When that was known; that of the decision if nothing came of it yet.
    #[serde(skip)]
    pub ended: Timestamp,
}

/// How long a decision waits.
const WAIT: Duration = Duration::from_millis(200);

/// Decisions of which the end is awaited at most; the oldest are given up.
const AWAITED: usize = 1 << 16;

/// Puts decisions and their ends together. Times are those since any fixed moment.
#[derive(Debug)]
pub struct Joiner {
    awaited: BTreeMap<u64, Awaited>,
    /// The cookies of decisions of which no line was given yet, with the time when one is.
    waiting: VecDeque<(Duration, u64)>,
    wait: Duration,
    /// Whether what was told as pending is told again when it ends.
    again: bool,
}

#[derive(Debug)]
struct Awaited {
    decision: Decision,
    due: Duration,
    told: bool,
}

impl Default for Joiner {
    /// What takes longer than a moment is told twice.
    fn default() -> Self {
        Self { awaited: BTreeMap::new(), waiting: VecDeque::new(), wait: WAIT, again: true }
    }
}

impl Joiner {
    /// Tells each decision once: with its end, or as pending if that has not come within this time.
    pub fn once(wait: Duration) -> Self {
        Self { wait, again: false, ..Self::default() }
    }

    /// Takes a record, and gives the lines that are complete by it.
    pub fn take(&mut self, record: Record, now: Duration) -> Vec<Connection> {
        match record {
            Record::Decision(decision @ Decision { left: Some(left), .. }) => {
                vec![Connection::at_once(decision, left.into())]
            }
            Record::Decision(decision) if decision.endpoint.is_none() => {
                vec![Connection::at_once(decision, Outcome::NoEndpoint)]
            }
            Record::Decision(decision) => {
                let (cookie, due) = (decision.cookie, now + self.wait);
                // Of a socket that is used again the end before has been told; if it was lost, so is the decision.
                self.awaited.insert(cookie, Awaited { decision, due, told: false });
                self.waiting.push_back((due, cookie));
                self.compact();
                let given_up = if self.awaited.len() > AWAITED { self.awaited.pop_first() } else { None };
                given_up.and_then(|(_, awaited)| awaited.pending()).into_iter().collect()
            }
            Record::End { cookie, outcome, microseconds, time, .. } => {
                let awaited = self.awaited.remove(&cookie);
                let line =
                    |Awaited { decision, .. }| Connection { decision, outcome, microseconds, ended: time };
                awaited.map(line).into_iter().collect()
            }
            Record::Lost { .. } => Vec::new(),
        }
    }

    /// Forgets the places of what has ended meanwhile, when these are most of them.
    fn compact(&mut self) {
        if self.waiting.len() > 2 * self.awaited.len() + AWAITED / 64 {
            let awaited = &self.awaited;
            self.waiting.retain(|(due, cookie)| awaited.get(cookie).is_some_and(|it| it.due == *due));
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
            let Some((due, cookie)) = self.waiting.pop_front() else { break };
            // The socket may have been used again since.
            let Some(awaited) = self.awaited.get_mut(&cookie).filter(|awaited| awaited.due == due) else {
                continue;
            };
            lines.extend(awaited.pending());
            awaited.told = true;
            if !self.again {
                self.awaited.remove(&cookie);
            }
        }
        lines
    }

    /// All that have not been told, at the end.
    pub fn rest(&mut self) -> Vec<Connection> {
        self.overdue(Duration::MAX)
    }
}

impl Awaited {
    /// As it is told before it has ended, if it was not.
    fn pending(&self) -> Option<Connection> {
        (!self.told).then(|| Connection::at_once(self.decision.clone(), Outcome::Pending))
    }
}

impl Connection {
    /// All of it is known with the decision.
    const fn at_once(decision: Decision, outcome: Outcome) -> Self {
        let ended = decision.time;
        Self { decision, outcome, microseconds: None, ended }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(cookie: u64) -> Record {
        Record::Decision(Decision {
            cookie,
            time: Timestamp::UNIX_EPOCH,
            pid: Some(7),
            command: "psql".to_owned(),
            mesh: "default".to_owned(),
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
    fn what_takes_longest_is_told_once_where_that_is_asked_for() {
        let mut joiner = Joiner::once(Duration::from_secs(10));
        let at = Duration::from_secs;
        joiner.take(decision(1), at(0));
        joiner.take(decision(2), at(1));
        assert_eq!(joiner.take(end(2, Outcome::Refused), at(2)).len(), 1);
        // The socket is used again: it is the new decision that waits, and no longer than the new one.
        joiner.take(decision(2), at(3));
        assert_eq!(outcomes(&joiner.overdue(at(12))), [(1, Outcome::Pending)]);
        assert_eq!(joiner.take(end(1, Outcome::TimedOut), at(13)), []);
        assert_eq!(outcomes(&joiner.rest()), [(2, Outcome::Pending)]);
        assert_eq!(joiner.rest(), []);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut joiner = Joiner::once(Duration::from_secs(10));
        let many = AWAITED as u64 + 5;
        let given_up: Vec<_> =
            (0..many).flat_map(|cookie| joiner.take(decision(cookie), Duration::ZERO)).collect();
        let oldest: Vec<_> = (0..5).map(|cookie| (cookie, Outcome::Pending)).collect();
        assert_eq!(outcomes(&given_up), oldest);
        for cookie in 0..many {
            joiner.take(end(cookie, Outcome::Established), Duration::ZERO);
            joiner.take(decision(many + cookie), Duration::ZERO);
            joiner.take(end(many + cookie, Outcome::Established), Duration::ZERO);
        }
        assert!(joiner.awaited.is_empty());
        assert!(joiner.waiting.len() <= AWAITED / 32, "{} places of what has ended", joiner.waiting.len());
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
