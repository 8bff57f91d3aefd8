//! What connect() costs on loopback: directly, through tcproute, and through the usual socket balancer. And in pods:
//! without a sidecar, led past one, and through one. Run it by `cargo xtask bench`.
//!
//! The contenders take turns, and each is compared with one of them in the same round, since other load on the machine
//! changes over time. All of a network reach the same listener. The programs are measured in a pass of their own: the
//! kernel's accounting slows connections down.

mod client;
mod interrupt;
mod pods;
mod processors;
mod programs;
mod relay;
mod report;
mod site;

use std::{net::SocketAddrV4, process::ExitCode};

use anyhow::Result;
use clap::Parser;

use crate::{
    client::{Dialling, Then},
    pods::Pods,
    programs::Costs,
    report::Rounds,
    site::{Contender, Site},
};

/// Measures what connect() costs with tcproute
#[derive(Parser)]
struct Options {
    /// How often each contender is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Connections per round and contender
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Be the client that dials this address
    #[arg(long, hide = true)]
    client: Option<SocketAddrV4>,
    /// As the client, run on this processor
    #[arg(long, hide = true)]
    processor: Option<usize>,
    /// As the client, do this with each connection
    #[arg(long, hide = true, default_value = "close")]
    then: Then,
    /// Be the proxy of a pod that leads everything here
    #[arg(long, hide = true)]
    relay: Option<SocketAddrV4>,
    /// Cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    tcproute_tests::interrupt::ended("connect", run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    if let Some(address) = options.client {
        options.processor.map_or(Ok(()), processors::stay_on)?;
        let answer = client::dial_all(address, options.connections, options.then)?;
        println!("{answer}");
        return Ok(());
    }
    if let Some(to) = options.relay {
        return relay::run(to);
    }
    if !tcproute_tests::is_root("connect") {
        return Ok(());
    }
    site::enter_namespaces()?;
    let dialling =
        Dialling { connections: options.connections, processor: processors::leave_one_to_clients()? };
    interrupt::watch()?;
    let mut site = Site::build()?;
    let pods = Pods::build()?;

    let connects = measure_connects(&site.contenders(), 0, options.rounds, dialling, Then::Close)?;
    let in_pods = match &pods {
        Some(pods) => measure_connects(&pods.contenders(), 1, options.rounds, dialling, Then::Read)?,
        None => Vec::new(),
    };
    site.attach_empty(pods.as_ref())?;
    let costs = (0..options.rounds)
        .map(|_| programs::measure(&site, pods.as_ref(), dialling))
        .collect::<Result<Vec<Costs>>>()?;
    report::print(options.rounds, options.connections, &connects, &in_pods, &costs);
    Ok(())
}

/// The answers by contender, each with one per round, and beside it that of the contender to compare with.
fn measure_connects(
    contenders: &[Contender<'_>],
    base: usize,
    rounds: u32,
    dialling: Dialling,
    then: Then,
) -> Result<Vec<Rounds>> {
    let mut all: Vec<Rounds> = contenders.iter().map(|contender| Rounds::of(contender.name)).collect();
    for round in 0..rounds as usize {
        let mut answers = vec![None; contenders.len()];
        // Nobody always runs after the same neighbour's heat.
        for turn in 0..contenders.len() {
            let index = (turn + round) % contenders.len();
            answers[index] = Some(client::run(&contenders[index], dialling, then)?);
        }
        let answers: Vec<client::Answer> = answers.into_iter().flatten().collect();
        for (rounds, answer) in all.iter_mut().zip(&answers) {
            rounds.add(answer, &answers[base]);
        }
    }
    Ok(all)
}
