//! How tcproute fares with many services and workloads. Run it by `cargo xtask bench scale`.
//!
//! The daemon is measured from outside, with files, real cgroups and the real kernel; and the agent from within, with
//! snapshots that come from memory, as those of an API server do.

mod agent;
mod daemon;
#[path = "../in_memory/mod.rs"]
mod in_memory;
mod input;
mod latency;
mod report;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;

use input::Size;
use report::Row;

/// Measures how tcproute fares with many services and workloads
#[derive(Parser)]
struct Options {
    /// Services, in the place of the usual points
    #[arg(long, value_delimiter = ',', requires = "workloads")]
    services: Vec<u32>,
    /// Local workloads
    #[arg(long, value_delimiter = ',', requires = "services")]
    workloads: Vec<u32>,
    /// All points up to 10,000 services and 200 workloads with files, too: takes long
    #[arg(long)]
    grid: bool,
    /// Leave out files: only snapshots from memory
    #[arg(long, conflicts_with = "grid")]
    from_memory: bool,
    /// Where the figures are written as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

/// The point at which the goals are.
const GOAL: Size = Size { services: 2000, workloads: 50 };

/// The point at which the goal for snapshots is.
const LARGEST: Size = Size { services: 10_000, workloads: 200 };

fn main() -> ExitCode {
    tcproute_tests::interrupt::ended("scale", run(&Options::parse()))
}

impl Options {
    fn points(&self) -> Vec<Size> {
        let all = |services: &[u32], workloads: &[u32]| -> Vec<Size> {
            let of = |&services: &u32| {
                workloads.iter().map(move |&workloads| Size { services, workloads }).collect::<Vec<_>>()
            };
            services.iter().flat_map(of).collect()
        };
        if !self.services.is_empty() {
            return all(&self.services, &self.workloads);
        }
        if self.grid {
            let mut points = all(&[100, 1000, 10_000], &[1, 50, 200]);
            points.push(GOAL);
            return points;
        }
        vec![Size { services: 100, workloads: 1 }, Size { services: 1000, workloads: 50 }, GOAL, LARGEST]
    }
}

fn run(options: &Options) -> Result<()> {
    if !tcproute_tests::is_root("scale") {
        return Ok(());
    }
    let mut rows = Vec::new();
    for size in options.points() {
        eprintln!("{} services, {} workloads: {} routes", size.services, size.workloads, size.routes());
        let agent = agent::measure(size).context("snapshots from memory")?;
        // Two million outbounds are more than a hundred megabytes of files.
        let named = options.grid || !options.services.is_empty();
        let with_files = !options.from_memory && (named || size != LARGEST);
        let daemon = with_files.then(|| daemon::measure(size).context("files")).transpose()?;
        rows.push(Row { size, daemon, agent });
    }
    print!("{}", report::text(&rows));
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report::json(&rows))? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("\nwritten to {}", path.display());
    }
    Ok(())
}
