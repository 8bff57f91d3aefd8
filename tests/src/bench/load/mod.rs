//! The client: this program again, in the network and the cgroup of a contender. It does its work some times before it
//! is measured.

mod connections;
mod established;

use std::{
    io,
    net::SocketAddrV4,
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use connections::Connections;
pub use established::{Bulk, Requests};

use super::{cpu, dial::dial, site::Site};
use crate::process::Process;

/// What a client is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    work: Work,
    dials: SocketAddrV4,
    /// Of all whose CPU time is asked for.
    cgroup: PathBuf,
}

/// Its kinds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Work {
    /// To see whether anybody answers: a `bool`.
    Knock,
    /// [`Connections`], so many in all.
    Connections {
        /// At once.
        threads: u32,
        /// By all of them.
        count: u32,
    },
    /// [`Requests`] on one connection.
    Requests {
        /// One after the other.
        count: u32,
    },
    /// [`Bulk`] on one connection.
    Bulk {
        /// So much.
        megabytes: u32,
    },
}

impl FromStr for Order {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

/// Has a client of a contender do it.
pub fn order<Answer: DeserializeOwned>(site: &Site, dials: SocketAddrV4, work: Work) -> Result<Answer> {
    let order = Order { work, dials, cgroup: site.cgroup().to_owned() };
    let mut command = site.client()?;
    command.arg("--client").arg(serde_json::to_string(&order)?);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut client = Process(command.spawn().context("cannot start the client")?);
    let mut output = client.0.stdout.take().context("its output is piped")?;
    let answer = io::read_to_string(&mut output)?;
    let status = client.0.wait()?;
    ensure!(status.success(), "a client of {dials} failed ({work:?}): {status}");
    serde_json::from_str(&answer).with_context(|| format!("the client answers {answer:?}"))
}

/// In the client.
pub fn run(order: &Order) -> Result<()> {
    let Order { work, dials, cgroup } = order;
    let answer = match *work {
        Work::Knock => serde_json::to_value(dial(*dials).is_ok()),
        Work::Connections { threads, count } => {
            serde_json::to_value(connections::make(*dials, cgroup, threads, count)?)
        }
        Work::Requests { count } => serde_json::to_value(established::ask(*dials, cgroup, count)?),
        Work::Bulk { megabytes } => serde_json::to_value(established::send(*dials, cgroup, megabytes)?),
    };
    println!("{}", answer?);
    Ok(())
}

/// The time and the work since a moment.
struct Clock<'a> {
    cgroup: &'a Path,
    start: Instant,
    worked: Duration,
}

impl<'a> Clock<'a> {
    fn start(cgroup: &'a Path) -> Result<Self> {
        let worked = cpu::of(cgroup)?;
        Ok(Self { cgroup, worked, start: Instant::now() })
    }

    /// Seconds, and seconds on processors.
    fn stop(&self) -> Result<(f64, f64)> {
        let took = self.start.elapsed();
        let worked = cpu::of(self.cgroup)?.saturating_sub(self.worked);
        Ok((took.as_secs_f64(), worked.as_secs_f64()))
    }
}
