//! What connect4 of tcproute takes by the kernel's own accounting, whatever the number of services: daemons with each
//! number run side by side, so that rounds take turns between them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use aya::sys::{Stats, enable_stats};
use serde::Serialize;
use tcproute_tests::{
    bench::{
        accounting::{EMPTY, Programs},
        balancer::Balancer,
        statistics::{Spread, interval, median},
    },
    interrupt,
};

use crate::{Options, dialling::Which, load::Contender, mesh::dialled};

/// By which services were dialled and how many there are: nanoseconds of a run less those of an empty program beside
/// it, in each round.
pub(crate) struct Connect4(BTreeMap<(Which, u32), Vec<f64>>);

/// A difference.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct More {
    pub(crate) median: f64,
    /// Of the median, with a confidence of 95 %.
    pub(crate) interval: [f64; 2],
}

impl Connect4 {
    /// Of one of them.
    pub(crate) fn spread(&self, which: Which, services: u32) -> Option<Spread> {
        Some(Spread::of(self.0.get(&(which, services)).filter(|it| !it.is_empty())?))
    }

    /// By how many more nanoseconds than with fewer services, within the rounds.
    pub(crate) fn more(&self, which: Which, services: u32, fewer: u32) -> Option<More> {
        let (more, fewer) = (self.0.get(&(which, services))?, self.0.get(&(which, fewer))?);
        let more: Vec<f64> = more.iter().zip(fewer).map(|(more, fewer)| more - fewer).collect();
        (!more.is_empty()).then(|| More { median: median(&more), interval: interval(&more) })
    }

    /// Of all rounds.
    pub(crate) fn rounds(&self, which: Which, services: u32) -> &[f64] {
        self.0.get(&(which, services)).map_or(&[], Vec::as_slice)
    }
}

/// Rounds are short, and many tell more than few: so often as many as of the others.
const ROUNDS: u32 = 4;

/// Measures those who are there.
pub(crate) fn measure(own: &[Contender], options: &Options) -> Result<Connect4> {
    let mut found = Connect4(BTreeMap::new());
    let mut empty = Vec::new();
    for contender in own {
        // Of no service: all that is taken of it is the program that does nothing.
        let mut balancer = Balancer::load(dialled(0), &[])?;
        balancer.attach(EMPTY, contender.site.workload())?;
        empty.push(balancer);
    }
    let _accounting = enable_stats(Stats::RunTime).context("cannot switch the accounting of BPF on")?;
    for round in 0..options.rounds * ROUNDS {
        for which in Which::ALL {
            for turn in 0..own.len() {
                interrupt::go_on()?;
                let contender = &own[(turn + round as usize) % own.len()];
                let net = net(contender, which, options.connections, round)?;
                found.0.entry((which, contender.services.0)).or_default().push(net);
            }
        }
    }
    Ok(found)
}

fn net(contender: &Contender, which: Which, connections: u32, round: u32) -> Result<f64> {
    let workload = contender.site.workload();
    let before = Programs::of(workload)?;
    contender.dial_services(which, connections, round.into())?;
    let costs = Programs::of(workload)?.since(&before)?;
    let gross =
        |name: &str| costs.get(name).map(|cost| cost.gross).with_context(|| format!("{name} has not run"));
    Ok(gross("connect4")? - gross(EMPTY)?)
}
