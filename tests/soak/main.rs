//! The soak test: a node on which policies, endpoints, workloads and daemons change at random for as long as one likes,
//! while clients connect all the time.
//!
//! Every connection is compared with the states that may have been in force while it was made; all choices together
//! with the weights; and what must not grow is watched. `cargo xtask soak` runs it, here or in a virtual machine.
//!
//! | | |
//! |---|---|
//! | `mesh`, `policy`, `unusable`, `bulk`, `change` | the resources as values, where they lead, and random changes |
//! | `outcome`, `history`, `shares` | what may become of a connection, when, and how often |
//! | `growth` | what grows |
//! | `client`, `clients`, `connection` | the processes that connect, and what they tell |
//! | `node`, `daemon`, `servers`, `files`, `kernel` | the node |
//! | `run`, `tally`, `watch` | the run |

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]

mod bulk;
mod change;
mod client;
mod clients;
mod connection;
mod daemon;
mod extent;
mod files;
mod growth;
mod history;
mod kernel;
mod mesh;
mod node;
mod outcome;
mod policy;
mod run;
mod servers;
mod shares;
mod tally;
mod unusable;
mod watch;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};

use tcproute_tests::interrupt;

use run::Soak;

/// Changes everything at random while clients connect, and checks every connection
#[derive(Debug, Parser)]
#[command(name = "soak", args_conflicts_with_subcommands = true)]
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
    /// How long
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Repeats the changes of an earlier run
    #[arg(long)]
    seed: Option<u64>,
    /// Processes that connect, in each workload and elsewhere
    #[arg(long, default_value_t = 1)]
    clients: u32,
    /// Connections per second of each of them, at most
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// The longest pause between two changes, in milliseconds
    #[arg(long, default_value_t = 1500)]
    pause: u64,
    /// Outbounds and services that come at a time, at most
    #[arg(long, default_value_t = 4000)]
    many: usize,
}

impl Options {
    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.minutes.max(0.0) * 60.0)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.client {
        Some(Role::Client(options)) => client::run(options),
        None => soak(&cli.options),
    };
    interrupt::ended("soak", result)
}

fn soak(options: &Options) -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "needs root");
    interrupt::watch()?;
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("soak: seed {seed}, {} minutes", options.minutes);
    let mut soak = Soak::new(options, seed)?;
    let result = soak.run();
    if result.is_ok() {
        println!("soak: passed");
    }
    result.with_context(|| format!("seed {seed}"))
}
