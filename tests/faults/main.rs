//! The fault suite: each system call of the daemon fails once, in each thing that it goes through, while clients
//! connect.
//!
//! After each fault no connection has failed or gone elsewhere, nobody was detached, and the daemon is in step within 5
//! s or has ended with another code than 0, a reason and the routes in force. `cargo xtask faults` runs it.
//!
//! | | |
//! |---|---|
//! | `fault`, `strace` | what fails, and how it is made to |
//! | `client`, `clients` | the processes that connect, and what is to be thought of it |
//! | `mesh`, `node`, `process` | the resources, the node, and the process that is held |
//! | `phase`, `take`, `attempt`, `suite` | what it goes through, how, one of these with a fault in it, all of them |
//! | `tally` | what came of it |

mod attempt;
mod client;
mod clients;
mod fault;
mod mesh;
mod node;
mod phase;
mod process;
mod strace;
mod suite;
mod take;
mod tally;

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use clap::{Parser, Subcommand};
use fastrand::Rng;
use tcproute_tests::interrupt;

use phase::Phase;
use strace::Strace;
use suite::Suite;
use tally::{Enough, Tally};

/// Makes system calls of the daemon fail while clients connect
#[derive(Debug, Parser)]
#[command(name = "faults", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    client: Option<Role>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// A process that connects
    #[command(hide = true)]
    Client(client::Options),
}

#[derive(Debug, clap::Args)]
struct Options {
    /// How long; else until there were enough
    #[arg(long)]
    minutes: Option<f64>,
    /// Which faults, and in which order
    #[arg(long)]
    seed: Option<u64>,
}

/// How many faults are enough, and how long they take at most.
const LEAST: u64 = 1000;
const PATIENCE: Duration = Duration::from_mins(20);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.client {
        Some(Role::Client(options)) => client::run(options),
        None => run(&cli.options),
    };
    interrupt::ended("faults", result)
}

fn run(options: &Options) -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "needs root");
    Strace::check()?;
    interrupt::watch()?;
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("faults: seed {seed}");
    let begun = Instant::now();
    let time = options.minutes.map(|minutes| Duration::from_secs_f64(minutes.max(0.0) * 60.0));
    let enough = time.map_or(Enough::Injections(LEAST), |time| Enough::At(begun + time));
    let tally = Tally::new(enough, time.map_or(PATIENCE, |time| time + PATIENCE));
    thread::scope(|scope| {
        for (number, phases) in (0..).zip(Phase::NODES) {
            let tally = &tally;
            scope.spawn(move || {
                let run = || Suite::new(Rng::with_seed(seed.wrapping_add(number)), tally)?.run(phases);
                if let Err(error) = run() {
                    tally.failed(format!("{error:#}"));
                }
            });
        }
    });
    tally.print();
    let (made, failures) = (tally.injections(), tally.counts().failures.len());
    println!(
        "faults: seed {seed}: {made} injections in {:.0} s, {failures} failures",
        begun.elapsed().as_secs_f64()
    );
    if failures > 0 {
        bail!("seed {seed}: {failures} failures");
    }
    if time.is_none() && !interrupt::is_interrupted() {
        ensure!(made >= LEAST, "only {made} injections in {PATIENCE:?}");
    }
    Ok(())
}
