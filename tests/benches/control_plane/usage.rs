//! What a process takes.

use std::{fs, ops::Sub, time::Duration};

use anyhow::{Context as _, Result};
use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

/// The thread of a daemon that follows a control plane, and that of our server too.
const THREAD: &str = "control-plane";

/// Bytes of memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) peak: u64,
}

/// Time on processors.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// Of all threads, also of those that have ended.
    pub(crate) process: Duration,
    /// Of the one named above.
    pub(crate) thread: Duration,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let bytes = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            Ok(number.context("the kernel does not tell")?.parse::<u64>()? << 10)
        };
        Ok(Self { resident: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
    }
}

impl Cpu {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))?;
        let process = Duration::from(clock_gettime(clock)?);
        let mut thread = Duration::ZERO;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            // It may have ended meanwhile.
            let Ok(name) = fs::read_to_string(task.join("comm")) else { continue };
            if name.trim_end() == THREAD {
                let times = fs::read_to_string(task.join("schedstat"))?;
                let nanoseconds = times.split_whitespace().next().context("the kernel does not tell")?;
                thread += Duration::from_nanos(nanoseconds.parse()?);
            }
        }
        Ok(Self { process, thread })
    }

    /// A share of it.
    pub(crate) fn per(self, count: f64) -> Self {
        Self { process: self.process.div_f64(count), thread: self.thread.div_f64(count) }
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            process: self.process.saturating_sub(before.process),
            thread: self.thread.saturating_sub(before.thread),
        }
    }
}
