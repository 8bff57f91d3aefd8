//! What one run of each program costs, by the kernel's own accounting (`kernel.bpf_stats_enabled`): of the kinds of
//! connections that there are, each in turns with an empty program beside, whose cost is that of measuring. Run it by
//! `cargo xtask bench programs`.
//!
//! Where time is that of instructions, as in a guest of `--kernel`, nanoseconds are instructions.

mod cases;
mod client;
mod cost;
mod report;

use std::{fs, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use aya::sys::{Stats, enable_stats};
use clap::Parser;

use crate::{cases::Site, client::Dialling, cost::Costs};

/// Measures what the programs of tcproute cost
#[derive(Parser)]
struct Options {
    /// How often each case is measured
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Connections per round, case and thread
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// So many at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// Write the figures to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Be the client that dials this address
    #[arg(long, hide = true)]
    client: Option<SocketAddr>,
    /// As the client, be this user
    #[arg(long, hide = true, default_value_t = 0)]
    user: u32,
    /// Cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    const fn dialling(&self) -> Dialling {
        Dialling { connections: self.connections, threads: self.threads }
    }
}

fn main() -> ExitCode {
    tcproute_tests::interrupt::ended("programs", run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    if let Some(address) = options.client {
        return client::dial_all(address, options.dialling(), options.user);
    }
    if !tcproute_tests::is_root("programs") {
        return Ok(());
    }
    let site = Site::build()?;
    let cases = site.cases();
    let mut costs: Vec<(&str, Costs)> = cases.iter().map(|case| (case.name, Costs::default())).collect();
    {
        let _accounting = enable_stats(Stats::RunTime).context("cannot switch the accounting of BPF on")?;
        for _ in 0..options.rounds {
            for (case, (_, costs)) in cases.iter().zip(&mut costs) {
                costs.add(case, options.dialling())?;
            }
        }
    }
    let report = report::Report::of(&costs, options, site.sizes()?)?;
    print!("{report}");
    if let Some(path) = &options.json {
        let json = serde_json::to_string(&report)? + "\n";
        fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
