//! What was tried, and what came of it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    fault::{ERRORS, Fault},
    phase::Phase,
};

/// What the process came to.
#[derive(Debug)]
pub(crate) enum Became {
    InStep,
    /// With code 0, as it was told to.
    Done,
    /// With another code, and why.
    Ended(String),
    /// The fault was one that cannot be.
    Impossible,
}

/// When there is enough.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Enough {
    Injections(u64),
    At(Instant),
}

/// Shared by all threads.
pub(crate) struct Tally {
    enough: Enough,
    deadline: Instant,
    counts: Mutex<Counts>,
}

#[derive(Default)]
pub(crate) struct Counts {
    phases: BTreeMap<Phase, Row>,
    errors: BTreeMap<&'static str, u64>,
    calls: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
    connections: u64,
    pub(crate) failures: Vec<String>,
}

#[derive(Default)]
struct Row {
    /// Faults to choose from.
    faults: u64,
    injections: u64,
    /// More calls failed, each in a thread of its own.
    hits: u64,
    missed: u64,
    impossible: u64,
    in_step: u64,
    ended: u64,
}

/// Whatever is wrong is seen by then.
const FAILURES: usize = 20;

impl Tally {
    pub(crate) fn new(enough: Enough, patience: Duration) -> Self {
        Self { enough, deadline: Instant::now() + patience, counts: Mutex::default() }
    }

    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn injections(&self) -> u64 {
        self.counts().phases.values().map(|row| row.injections).sum()
    }

    pub(crate) fn is_enough(&self) -> bool {
        let now = Instant::now();
        let is_enough = match self.enough {
            Enough::Injections(least) => self.injections() >= least,
            Enough::At(end) => now >= end,
        };
        is_enough || now >= self.deadline || self.counts().failures.len() >= FAILURES
    }

    /// How many faults there are to choose from in a phase.
    pub(crate) fn lists(&self, phase: Phase, faults: u64) {
        let mut counts = self.counts();
        let row = counts.phases.entry(phase).or_default();
        row.faults = row.faults.max(faults);
    }

    /// What came of a fault.
    pub(crate) fn took(&self, phase: Phase, fault: &Fault, hits: usize, became: Became) {
        let mut counts = self.counts();
        let row = counts.phases.entry(phase).or_default();
        if hits == 0 {
            row.missed += 1;
            return;
        }
        match &became {
            Became::Impossible => {
                row.impossible += 1;
                return;
            }
            Became::InStep | Became::Done => row.in_step += 1,
            Became::Ended(_) => row.ended += 1,
        }
        row.injections += 1;
        row.hits += hits as u64;
        *counts.errors.entry(fault.error).or_default() += 1;
        *counts.calls.entry(fault.call.clone()).or_default() += 1;
        if let Became::Ended(why) = became {
            *counts.reasons.entry(why).or_default() += 1;
        }
    }

    pub(crate) fn failed(&self, what: String) {
        println!("FAILED {what}");
        self.counts().failures.push(what);
    }

    pub(crate) fn connections(&self, made: u64) {
        self.counts().connections += made;
    }

    /// As a table.
    pub(crate) fn print(&self) {
        let counts = self.counts();
        println!(
            "{:<12} {:>8} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "", "faults", "injections", "calls", "in step", "ended", "missed", "not real"
        );
        for (phase, row) in &counts.phases {
            println!(
                "{:<12} {:>8} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8}",
                format!("{phase:?}"),
                row.faults,
                row.injections,
                row.hits,
                row.in_step,
                row.ended,
                row.missed,
                row.impossible
            );
        }
        let by_error =
            ERRORS.map(|error| format!("{} {error}", counts.errors.get(error).copied().unwrap_or(0)));
        let by_call: Vec<String> = counts.calls.iter().map(|(call, made)| format!("{made} {call}")).collect();
        println!("by error: {}\nby call: {}", by_error.join(", "), by_call.join(", "));
        println!("{} connections", counts.connections);
        for (why, times) in &counts.reasons {
            println!("ended {times} times: {why}");
        }
    }
}
