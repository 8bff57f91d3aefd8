//! How soon what has changed at the control plane is in force at the daemon.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::Value;
use tcproute_tests::{control_plane::Server, tcproute::Daemon, wait_for};

use crate::usage::Cpu;

/// Between two changes, in so many steps: they meet the daemon at all times of its interval.
const STEP: Duration = Duration::from_millis(100);
const STEPS: u32 = 10;

/// Times of many tries, sorted, and what all of it took.
#[derive(Debug, Clone)]
pub(crate) struct Changes {
    times: Vec<Duration>,
    /// From the first change to the last one in force.
    pub(crate) daemon: Cpu,
    pub(crate) readings: usize,
}

impl Changes {
    pub(crate) fn p50(&self) -> Duration {
        self.times[(self.times.len() - 1) / 2]
    }

    pub(crate) fn max(&self) -> Duration {
        self.times[self.times.len() - 1]
    }

    pub(crate) const fn count(&self) -> usize {
        self.times.len()
    }
}

/// Makes so many changes, each one so long after the one before is in force, or in steps.
pub(crate) fn make(
    daemon: &Daemon,
    server: &Server,
    tries: u32,
    pause: Option<Duration>,
    change: impl Fn(u32) -> Value,
) -> Result<Changes> {
    let mut times = Vec::new();
    server.forget_requests();
    let cpu = Cpu::of(daemon.pid())?;
    for number in 0..tries {
        sleep(pause.unwrap_or(STEP * (number % STEPS)));
        let before = daemon.get("/v1/routes");
        let changed = change(number);
        let begun = Instant::now();
        server.put(&changed);
        daemon.wait_for_line("new routes in force");
        times.push(begun.elapsed());
        // They are told a moment after they are in force.
        wait_for("other routes are told", || daemon.get("/v1/routes") != before);
    }
    let daemon = Cpu::of(daemon.pid())? - cpu;
    times.sort();
    Ok(Changes { times, daemon, readings: crate::bodies::readings(&server.requests()) })
}
