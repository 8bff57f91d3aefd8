//! What connect() costs on loopback: directly, through tcproute, and through the usual socket balancer.
//! Run it by `cargo xtask bench`.
//!
//! The contenders take turns, and each is compared with the direct connection of the same round, since other
//! load on the machine changes over time. All of them reach the same listener. The programs are measured in
//! a pass of their own: the kernel's accounting slows connections down.

mod balancer;
mod client;
mod interrupt;
mod programs;
mod report;
mod site;

use std::{net::SocketAddrV4, process::ExitCode};

use anyhow::Result;
use clap::Parser;

use crate::{client::Client, programs::Costs, report::Ratios, site::Site};

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
    /// As the client, ask each socket for its peer
    #[arg(long, hide = true)]
    getpeername: bool,
    /// Cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if let Some(address) = options.client {
        let answer = client::dial_all(address, options.connections, options.getpeername)?;
        println!("{answer}");
        return Ok(());
    }
    if !tcproute_tests::is_root("connect") {
        return Ok(());
    }
    site::enter_namespaces()?;
    interrupt::watch()?;
    let mut site = Site::build()?;

    let connects = measure_connects(&site, options)?;
    site.attach_empty()?;
    let costs = (0..options.rounds)
        .map(|_| programs::measure(&site, options.connections))
        .collect::<Result<Vec<Costs>>>()?;
    report::print(options.rounds, options.connections, &connects, &costs);
    Ok(())
}

/// The answers by contender, each with one per round.
fn measure_connects(site: &Site, options: &Options) -> Result<Vec<Ratios>> {
    let contenders = site.contenders();
    let mut ratios: Vec<Ratios> = contenders.iter().map(|contender| Ratios::of(contender.name)).collect();
    for round in 0..options.rounds as usize {
        let mut answers = vec![None; contenders.len()];
        // Nobody always runs after the same neighbour's heat.
        for turn in 0..contenders.len() {
            let index = (turn + round) % contenders.len();
            let contender = &contenders[index];
            let client = Client { cgroup: contender.cgroup, address: contender.dials };
            answers[index] = Some(client.run(options.connections, false)?);
        }
        let answers: Vec<client::Answer> = answers.into_iter().flatten().collect();
        for (ratios, answer) in ratios.iter_mut().zip(&answers) {
            ratios.add(answer, &answers[0]);
        }
    }
    Ok(ratios)
}
