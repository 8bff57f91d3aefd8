//! A pod that dials again and again, and tells when it gets elsewhere.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use tcproute_tests::{cgroup::TestCgroup, client::Client, clock::Time};

/// It runs until it is dropped.
pub(crate) struct Probe(Client);

impl Probe {
    /// In this cgroup.
    pub(crate) fn start(cgroup: &TestCgroup, dialled: SocketAddr) -> Self {
        let (ip, port) = (dialled.ip(), dialled.port());
        let body = format!(
            "import time\n\
             last = None\n\
             while True:\n\
             \x20   try:\n\
             \x20       now = name(dial('{ip}', {port}))\n\
             \x20   except OSError:\n\
             \x20       now = 'nobody'\n\
             \x20   if now != last:\n\
             \x20       print(time.clock_gettime_ns(time.CLOCK_MONOTONIC), now, flush=True)\n\
             \x20       last = now\n\
             \x20   time.sleep(0.001)\n"
        );
        Self(Client::start(cgroup.command("python3"), &body))
    }

    /// Waits until connections get to this one, and tells when the first did.
    pub(crate) fn gets_to(&mut self, version: &str) -> Result<Time> {
        loop {
            let line = self.0.line();
            let Some((at, name)) = line.split_once(' ') else { bail!("the probe says {line:?}") };
            if name == version {
                return Ok(at.parse()?);
            }
        }
    }
}
