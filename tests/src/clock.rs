//! The clock that all processes share.

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine was started.
pub type Time = u64;

/// What it shows.
pub fn now() -> Result<Time> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).context("there is no monotonic clock")?;
    let nanoseconds = time.tv_sec() * 1_000_000_000 + time.tv_nsec();
    Time::try_from(nanoseconds).context("the clock shows a negative time")
}
