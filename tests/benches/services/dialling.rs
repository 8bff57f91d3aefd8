//! A client that dials services: this program again, in the network and the cgroup of a contender.

use std::{io, process::Stdio, str::FromStr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use tcproute_tests::{
    bench::{
        dial::{Dialled, ask, dial},
        statistics::Latency,
    },
    process::Process,
};

use crate::{
    load::Contender,
    mesh::{dialled, endpoints},
};

/// What it is to dial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    services: u32,
    /// Endpoints in the place of services.
    directly: bool,
    which: Which,
    connections: u32,
    seed: u64,
}

/// Of the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Which {
    /// Always this one.
    Last,
    /// Each time any, so that what is known of it is in the caches of the processor by chance alone.
    Any,
}

/// How long it took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Took {
    pub(crate) connect: Latency,
    /// From the call of connect() to the answer.
    pub(crate) first_byte: Latency,
}

impl Which {
    pub(crate) const ALL: [Self; 2] = [Self::Last, Self::Any];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Last => "the last",
            Self::Any => "any",
        }
    }
}

impl FromStr for Order {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

/// In the client, which does it some times before it is measured.
pub(crate) fn run(order: &Order) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(order.seed);
    let (mut connect, mut first_byte) = (Vec::new(), Vec::new());
    let before = order.connections.div_ceil(10);
    for number in 0..before + order.connections {
        let (connected, answered) = order.one(&mut random)?;
        if number < before {
            continue;
        }
        connect.push(connected);
        first_byte.push(answered);
    }
    let took = Took { connect: Latency::of(connect), first_byte: Latency::of(first_byte) };
    println!("{}", serde_json::to_string(&took)?);
    Ok(())
}

impl Order {
    fn one(&self, random: &mut fastrand::Rng) -> Result<(Duration, Duration)> {
        let service = match self.which {
            Which::Last => self.services - 1,
            Which::Any => random.u32(..self.services),
        };
        let endpoint = endpoints(service, 0).next().filter(|_| self.directly);
        let address = endpoint.unwrap_or_else(|| dialled(service));
        let made = dial(address).and_then(|Dialled { mut stream, start, took }| {
            ask(&mut stream)?;
            Ok((took, start.elapsed()))
        });
        made.with_context(|| format!("cannot dial {address}"))
    }
}

impl Contender {
    /// Has a client dial so many.
    pub(crate) fn dial_services(&self, which: Which, connections: u32, seed: u64) -> Result<Took> {
        let directly = !self.kind.splits();
        let order = Order { services: self.services.0, directly, which, connections, seed };
        let mut command = self.site.client()?;
        command.arg("--dial").arg(serde_json::to_string(&order)?).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut client = Process(command.spawn().context("cannot start the client")?);
        let answer = io::read_to_string(client.0.stdout.take().context("its output is piped")?)?;
        let status = client.0.wait()?;
        ensure!(status.success(), "a client failed: {status}");
        serde_json::from_str(&answer).with_context(|| format!("the client answers {answer:?}"))
    }
}
