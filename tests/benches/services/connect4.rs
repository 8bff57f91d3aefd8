//! What connect4 of tcproute takes by the kernel's own accounting, whatever the number of services: daemons with each
//! number run side by side, so that rounds take turns between them.

use std::{collections::BTreeMap, process::Stdio, str::FromStr};

use anyhow::{Context as _, Result, ensure};
use aya::sys::{Stats, enable_stats};
use serde::{Deserialize, Serialize};
use tcproute_tests::bench::{
    accounting::{EMPTY, Programs},
    balancer::Balancer,
    dial::{ask, dial},
    statistics::Spread,
};

use crate::{
    Options, go_on,
    load::Contender,
    mesh::{Services, dialled},
};

/// What a client is to dial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    services: u32,
    which: Which,
    connections: u32,
    seed: u64,
}

/// Of the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Which {
    /// Always this one.
    Last,
    /// Each time any, so that none is in the caches of the processor but by chance.
    Random,
}

impl Which {
    pub(crate) const ALL: [Self; 2] = [Self::Last, Self::Random];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Last => "the last",
            Self::Random => "any",
        }
    }
}

impl FromStr for Order {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

/// In the client.
pub(crate) fn dial_all(order: &Order) -> Result<()> {
    let Order { services, which, connections, seed } = *order;
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..connections {
        let service = match which {
            Which::Last => services - 1,
            Which::Random => random.u32(..services),
        };
        let address = dialled(service);
        dial(address)
            .and_then(|mut it| ask(&mut it.stream))
            .with_context(|| format!("cannot dial {address}"))?;
    }
    Ok(())
}

/// By which services were dialled and how many there are: nanoseconds of a run less those of an empty program beside
/// it, in each round.
pub(crate) struct Connect4(BTreeMap<(Which, u32), Vec<f64>>);

impl Connect4 {
    /// Of one of them.
    pub(crate) fn spread(&self, which: Which, services: u32) -> Option<Spread> {
        Some(Spread::of(self.0.get(&(which, services)).filter(|it| !it.is_empty())?))
    }

    /// By how many more nanoseconds than with fewer services, within the rounds.
    pub(crate) fn more(&self, which: Which, services: u32, fewer: u32) -> Option<Spread> {
        let (more, fewer) = (self.0.get(&(which, services))?, self.0.get(&(which, fewer))?);
        let more: Vec<f64> = more.iter().zip(fewer).map(|(more, fewer)| more - fewer).collect();
        (!more.is_empty()).then(|| Spread::of(&more))
    }

    /// Of all rounds.
    pub(crate) fn rounds(&self, which: Which, services: u32) -> &[f64] {
        self.0.get(&(which, services)).map_or(&[], Vec::as_slice)
    }
}

/// Rounds are short, and many tell more than few: so often as many as of the others.
const ROUNDS: u32 = 4;

/// Measures those who are there.
pub(crate) fn measure(own: &[(Services, Contender)], options: &Options) -> Result<Connect4> {
    let mut found = Connect4(BTreeMap::new());
    let mut empty = Vec::new();
    for (_, contender) in own {
        // Of no service: all that is taken of it is the program that does nothing.
        let mut balancer = Balancer::load(dialled(0), &[])?;
        balancer.attach(EMPTY, contender.site.workload())?;
        empty.push(balancer);
    }
    let _accounting = enable_stats(Stats::RunTime).context("cannot switch the accounting of BPF on")?;
    for round in 0..options.rounds * ROUNDS {
        for which in Which::ALL {
            for turn in 0..own.len() {
                go_on()?;
                let (services, contender) = &own[(turn + round as usize) % own.len()];
                let order = Order {
                    services: services.0,
                    which,
                    connections: options.connections,
                    seed: u64::from(round),
                };
                let net = net(contender, &order)?;
                found.0.entry((which, services.0)).or_default().push(net);
            }
        }
    }
    Ok(found)
}

fn net(contender: &Contender, order: &Order) -> Result<f64> {
    let workload = contender.site.workload();
    let before = Programs::of(workload)?;
    let mut client = contender.site.client()?;
    let status = client.arg("--dial").arg(serde_json::to_string(order)?).stdin(Stdio::null()).status();
    let status = status.context("cannot start the client")?;
    ensure!(status.success(), "a client failed: {status}");
    let costs = Programs::of(workload)?.since(&before)?;
    let gross =
        |name: &str| costs.get(name).map(|cost| cost.gross).with_context(|| format!("{name} has not run"));
    Ok(gross("connect4")? - gross(EMPTY)?)
}
