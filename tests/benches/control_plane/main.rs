//! A daemon that follows the REST API of a control plane with a large mesh: a server of ours, and a workload with a
//! real cgroup and real programs. Run it by `cargo xtask bench control-plane`.
//!
//! - `input`: what is in the mesh.
//! - `bodies`: how much one reading of all lists is.
//! - `usage`: what the daemon takes.
//! - `rest`: what it takes while nothing changes.
//! - `change`: how soon a change is in force.
//! - `measure`: all of these, in their order.
//! - `report`: the figures, beside the goals.

mod bodies;
mod change;
mod input;
mod measure;
mod report;
mod rest;
mod usage;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use input::Size;
use measure::{Measured, measure};

/// Measures a daemon that follows a control plane
#[derive(Parser)]
struct Options {
    /// Dataplanes in the mesh
    #[arg(long, default_value = "10000")]
    dataplanes: u32,
    /// Services that they are of
    #[arg(long, default_value = "20")]
    services: u32,
    /// How often each change is made
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    tries: u32,
    /// Where the figures are written as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    tcproute_tests::interrupt::ended("control-plane", run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    let size = Size { dataplanes: options.dataplanes, services: options.services };
    ensure!(size.services > 0 && size.dataplanes >= 2 * size.services, "each service has two versions");
    let all: Vec<Measured> =
        [false, true].into_iter().map(|tls| measure(size, options.tries, tls)).collect::<Result<_>>()?;
    println!();
    println!("{} Dataplanes of {} services\n\n{}", size.dataplanes, size.services, report::table(&all));
    if let Some(path) = &options.json {
        fs::write(path, format!("{:#}\n", report::json(size, &all)))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
