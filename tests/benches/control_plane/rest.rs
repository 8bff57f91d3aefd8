//! What a daemon takes while nothing changes.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tcproute_tests::control_plane::{Request, Server};

use crate::{bodies, usage::Cpu};

/// Seen for some time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest {
    pub(crate) time: Duration,
    /// Readings of whatever was due.
    pub(crate) polls: usize,
    /// Those with the Dataplanes among it.
    pub(crate) readings: usize,
    pub(crate) requests: usize,
    pub(crate) daemon: Cpu,
    /// What the server needs to answer.
    pub(crate) server: Duration,
}

impl Rest {
    /// Watches a daemon, and tells what it asked for.
    pub(crate) fn watch(pid: u32, server: &Server, time: Duration) -> Result<(Self, Vec<Request>)> {
        server.forget_requests();
        let own = std::process::id();
        let (begun, daemon, serving) = (Instant::now(), Cpu::of(pid)?, Cpu::of(own)?);
        sleep(time);
        let (time, daemon, serving) = (begun.elapsed(), Cpu::of(pid)? - daemon, Cpu::of(own)? - serving);
        let requests = server.requests();
        let (polls, readings) = (bodies::polls(&requests), bodies::readings(&requests));
        ensure!(readings > 0, "the Dataplanes were not read in {time:?}");
        let rest = Self { time, polls, readings, requests: requests.len(), daemon, server: serving.thread };
        Ok((rest, requests))
    }

    #[expect(clippy::cast_precision_loss, reason = "some tens")]
    pub(crate) fn per_reading(&self) -> Cpu {
        self.daemon.per(self.readings as f64)
    }

    pub(crate) fn per_second(&self) -> Cpu {
        self.daemon.per(self.time.as_secs_f64())
    }

    #[expect(clippy::cast_precision_loss, reason = "some tens")]
    pub(crate) fn server_per_reading(&self) -> Duration {
        self.server.div_f64(self.readings as f64)
    }

    /// How long it is from one reading of the Dataplanes to the next.
    #[expect(clippy::cast_precision_loss, reason = "some tens")]
    pub(crate) fn interval(&self) -> Duration {
        self.time.div_f64(self.readings as f64)
    }
}
