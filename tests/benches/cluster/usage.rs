//! What a process takes.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// At one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) resident_mb: f64,
    pub(crate) peak_mb: f64,
    /// In ticks of 10 ms.
    cpu: u64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mb = |name: &str| -> Result<f64> {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .context("the kernel does not tell")?;
            let kib: f64 =
                line.trim_start_matches(':').split_whitespace().next().context("no number")?.parse()?;
            Ok(kib * 1024.0 / 1e6)
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name before may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("the kernel tells something else")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let cpu = ticks.sum::<Result<u64, _>>()?;
        Ok(Self { resident_mb: mb("VmRSS")?, peak_mb: mb("VmHWM")?, cpu })
    }

    /// The share of one CPU that it has taken since then.
    pub(crate) fn cpu_since(&self, before: &Self, time: Duration) -> f64 {
        let ticks = u32::try_from(self.cpu - before.cpu).unwrap_or(u32::MAX);
        f64::from(ticks) / 100.0 / time.as_secs_f64()
    }
}
