//! Which states may have been in force when. Between the write of a change and the report that it is in force, both
//! the state before and the one after may be; from the report on, only the one after.

use std::sync::Arc;

use tcproute_tests::clock::Time;

use crate::{
    connection::{Connection, Ended, WrongPeer},
    extent::WORKLOADS,
    mesh::{Addresses, Mesh},
    outcome::{Distribution, Outcome},
};

/// Where connections lead, as long as nothing changes.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// By workload; `None` while no programs are attached to it.
    workloads: Vec<Option<Vec<Arc<Distribution>>>>,
}

#[derive(Debug)]
struct Epoch {
    /// No connection that ended before this can have seen it.
    written: Time,
    /// No connection that began after this can.
    superseded: Option<Time>,
    state: State,
}

/// States, the oldest first.
#[derive(Debug)]
pub(crate) struct History {
    plain: Vec<Distribution>,
    /// What connect() fails with where a policy leads nowhere.
    refusal: i32,
    epochs: Vec<Epoch>,
}

/// What is to be thought of a connection.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// There was but one state, and this chose by chance.
    Chosen(Outcome, Arc<Distribution>),
    /// As it must be.
    Right(Outcome),
    /// Not by any state that can have been in force.
    Wrong(String),
}

impl State {
    /// `attached` tells which workloads have programs.
    pub(crate) fn new(mesh: &Mesh, addresses: &Addresses, attached: [bool; WORKLOADS]) -> Self {
        let of = |workload| {
            let destinations = addresses.destinations.iter();
            destinations.map(|&d| Arc::new(mesh.distribution(addresses, workload, d))).collect()
        };
        let workloads = attached.iter().enumerate();
        Self { workloads: workloads.map(|(workload, &attached)| attached.then(|| of(workload))).collect() }
    }

    /// Has in common with the state before what is the same: with thousands of endpoints it is much.
    fn share(&mut self, before: &Self) {
        for (new, old) in self.workloads.iter_mut().zip(&before.workloads) {
            for (new, old) in new.iter_mut().flatten().zip(old.iter().flatten()) {
                if new == old {
                    *new = Arc::clone(old);
                }
            }
        }
    }
}

impl History {
    /// Before anything is attached. `refusal` is what connect() fails with where a policy leads nowhere.
    pub(crate) fn new(addresses: &Addresses, refusal: i32) -> Self {
        let plain =
            addresses.destinations.iter().map(|d| Distribution::only(Outcome::Reached(d.dialled))).collect();
        let state = State { workloads: vec![None; WORKLOADS] };
        Self { plain, refusal, epochs: vec![Epoch { written: 0, superseded: None, state }] }
    }

    /// To be told before anything is done that may bring the state about.
    pub(crate) fn write(&mut self, now: Time, mut state: State) {
        if let Some(last) = self.epochs.last() {
            state.share(&last.state);
        }
        self.epochs.push(Epoch { written: now, superseded: None, state });
    }

    /// The last state that was written is in force.
    pub(crate) fn report(&mut self, now: Time) {
        let last = self.epochs.len() - 1;
        for epoch in self.epochs[..last].iter_mut().filter(|epoch| epoch.superseded.is_none()) {
            epoch.superseded = Some(now);
        }
    }

    /// Forgets what nobody will ask for any more.
    pub(crate) fn forget_before(&mut self, time: Time) {
        self.epochs.retain(|epoch| epoch.superseded.is_none_or(|superseded| superseded >= time));
    }

    fn during(&self, begin: Time, end: Time) -> impl Iterator<Item = &State> {
        let epochs = self.epochs.iter();
        epochs
            .filter(move |epoch| epoch.written <= end && epoch.superseded.is_none_or(|at| begin <= at))
            .map(|epoch| &epoch.state)
    }

    /// `None` if no state brings it about.
    const fn outcome(&self, ended: &Ended) -> Option<Outcome> {
        match ended {
            Ended::Reached(address) => Some(Outcome::Reached(*address)),
            Ended::Failed(errno) if *errno == self.refusal => Some(Outcome::Refused),
            Ended::Failed(_) | Ended::Otherwise(_) => None,
        }
    }

    /// Compares a connection with every state that may have been in force.
    pub(crate) fn judge<'a>(&'a self, workload: Option<usize>, connection: &Connection) -> Verdict {
        let Connection { destination, begin, end, ended } = connection;
        let plain = &self.plain[*destination];
        let states: Vec<Option<&Arc<Distribution>>> = match workload {
            Some(workload) => {
                let states = self.during(*begin, *end);
                states.map(|s| s.workloads[workload].as_ref().map(|of| &of[*destination])).collect()
            }
            None => vec![None],
        };
        let Some(outcome) = self.outcome(ended) else { return Verdict::Wrong(complaint(&states, plain)) };
        let distribution = |state: Option<&'a Arc<Distribution>>| state.map_or(plain, |of| &**of);
        if !states.iter().any(|&state| distribution(state).allows(outcome)) {
            return Verdict::Wrong(complaint(&states, plain));
        }
        match states.first() {
            Some(Some(first))
                if first.is_choice() && states.iter().all(|&state| distribution(state) == &***first) =>
            {
                Verdict::Chosen(outcome, Arc::clone(first))
            }
            _ => Verdict::Right(outcome),
        }
    }

    /// When else the outcome would have been right, if ever: for when something is wrong. In milliseconds from the
    /// beginning of the connection, and by the routes of which workload.
    pub(crate) fn elsewhere(&self, connection: &Connection) -> Vec<String> {
        let Connection { destination, begin, ended, .. } = connection;
        let Some(outcome) = self.outcome(ended) else { return Vec::new() };
        let since = |time: Time| (time as f64 - *begin as f64) / 1e6;
        let mut found = Vec::new();
        for epoch in &self.epochs {
            for (workload, routes) in epoch.state.workloads.iter().enumerate() {
                if routes.as_ref().is_some_and(|routes| routes[*destination].allows(outcome)) {
                    let written = since(epoch.written);
                    let until = epoch
                        .superseded
                        .map_or_else(|| "now".to_owned(), |superseded| format!("{:.3}", since(superseded)));
                    found.push(format!("workload {workload}, {written:.3} to {until} ms"));
                }
            }
        }
        found
    }

    /// Without programs, getpeername shows the endpoint.
    pub(crate) fn judge_peer(&self, workload: Option<usize>, seen: &WrongPeer) -> Verdict {
        let detached = workload.is_some_and(|workload| {
            self.during(seen.begin, seen.at).any(|state| state.workloads[workload].is_none())
        });
        if detached {
            Verdict::Right(Outcome::Reached(seen.peer))
        } else {
            Verdict::Wrong(
                "the address that was dialled, since programs are attached all the time".to_owned(),
            )
        }
    }
}

fn complaint(states: &[Option<&Arc<Distribution>>], plain: &Distribution) -> String {
    let mut shown: Vec<String> = Vec::new();
    for state in states {
        let state = state.map_or_else(|| format!("as dialled: {plain}"), ToString::to_string);
        if shown.last() != Some(&state) {
            shown.push(state);
        }
    }
    if shown.is_empty() { "no state: the record is too old".to_owned() } else { shown.join("; or ") }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::mesh::Destination;

    fn at(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn to(port: u16) -> State {
        let only = Arc::new(Distribution::only(Outcome::Reached(at(port))));
        State { workloads: vec![Some(vec![only]), None, None] }
    }

    fn history() -> History {
        let destinations = vec![Destination { service: 0, dialled: at(1) }];
        let mut history = History::new(
            &Addresses { destinations, endpoints: Vec::new(), everywhere: 9 },
            nix::libc::ECONNREFUSED,
        );
        history.write(100, to(2));
        history.report(200);
        history.write(300, to(3));
        history.report(400);
        history
    }

    fn is_right(history: &History, begin: Time, end: Time, port: u16) -> bool {
        let connection = Connection { destination: 0, begin, end, ended: Ended::Reached(at(port)) };
        !matches!(history.judge(Some(0), &connection), Verdict::Wrong(_))
    }

    #[test]
    fn both_states_are_allowed_between_the_write_and_the_report() {
        let history = history();
        for (begin, end, allowed) in [
            (10, 20, vec![1]),
            (90, 110, vec![1, 2]),
            (150, 160, vec![1, 2]),
            (199, 301, vec![1, 2, 3]),
            (210, 220, vec![2]),
            (290, 310, vec![2, 3]),
            (401, 500, vec![3]),
        ] {
            let right: Vec<u16> = (1..=4).filter(|&port| is_right(&history, begin, end, port)).collect();
            assert_eq!(right, allowed, "{begin} to {end}");
        }
    }

    #[test]
    fn a_state_that_was_never_reported_may_be_in_force_until_the_next_one_is() {
        let mut history = history();
        history.write(500, to(4));
        history.write(510, to(5));
        assert!(is_right(&history, 600, 610, 3) && is_right(&history, 600, 610, 4));
        history.report(700);
        assert!(is_right(&history, 600, 610, 4));
        assert!(!is_right(&history, 701, 710, 4) && is_right(&history, 701, 710, 5));
    }

    #[test]
    fn processes_elsewhere_go_as_they_dial_and_only_refusals_may_fail() {
        let history = history();
        let reached =
            |port| Connection { destination: 0, begin: 500, end: 510, ended: Ended::Reached(at(port)) };
        assert_eq!(history.judge(None, &reached(1)), Verdict::Right(Outcome::Reached(at(1))));
        assert!(matches!(history.judge(None, &reached(3)), Verdict::Wrong(_)));
        let refused = Connection { ended: Ended::Failed(nix::libc::ECONNREFUSED), ..reached(1) };
        assert!(matches!(history.judge(Some(0), &refused), Verdict::Wrong(_)));
        let reset = Connection { ended: Ended::Failed(nix::libc::ECONNRESET), ..reached(1) };
        assert!(matches!(history.judge(Some(0), &reset), Verdict::Wrong(_)));
    }

    #[test]
    fn the_dialled_peer_is_shown_as_long_as_programs_are_attached() {
        let mut history = history();
        let seen = |begin, at| WrongPeer { destination: 0, begin, at, peer: self::at(3) };
        assert!(matches!(history.judge_peer(Some(0), &seen(410, 420)), Verdict::Wrong(_)));
        history.write(500, State { workloads: vec![None, None, None] });
        history.report(600);
        assert!(matches!(history.judge_peer(Some(0), &seen(410, 520)), Verdict::Right(_)));
        assert!(matches!(history.judge_peer(None, &seen(410, 520)), Verdict::Wrong(_)));
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut history = history();
        history.forget_before(350);
        assert_eq!(history.epochs.len(), 2);
        assert!(is_right(&history, 401, 500, 3));
    }
}
