//! A cluster with a node, and what tcproute does in it while clients connect: installed, updated, killed, its node
//! started anew, taken away. `cargo xtask cluster` makes what it consists of and runs it.
//!
//! | | |
//! |---|---|
//! | `network`, `machine` | the network that the cluster has to itself, and the node |
//! | `kubectl`, `mesh` | what people do, and what Kuma's control plane would write |
//! | `observed` | what clients have seen, and what it should be |
//! | `site`, `course` | the cluster as it is built up, and what it goes through |
//! | `host` | the node as a host of its own, with a package and a unit |
//! | `report` | what is printed and recorded |

mod course;
mod host;
mod kubectl;
mod machine;
mod mesh;
mod network;
mod observed;
mod report;
mod site;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use tcproute_tests::interrupt;

use report::Report;
use site::Site;

/// Goes through what a cluster does to tcproute
#[derive(Debug, Parser)]
#[command(name = "cluster")]
struct Cli {
    /// The directory with kubectl, the controllers and the scheduler
    #[arg(long)]
    kubernetes: PathBuf,
    /// Where logs are kept
    #[arg(long)]
    directory: PathBuf,
    /// Writes what was seen to this page
    #[arg(long)]
    record: Option<PathBuf>,
    /// The command that is the node
    #[arg(last = true, required = true)]
    machine: Vec<String>,
}

fn main() -> ExitCode {
    let result = interrupt::watch().and_then(|()| run(&Cli::parse()));
    interrupt::ended("cluster", result)
}

fn run(cli: &Cli) -> Result<()> {
    // Before there is another thread, which would stay in the network of the machine.
    network::isolate()?;
    let mut report = Report::begin();
    let site = Site::build(cli, &mut report)?;
    let result = course::run(&site, &mut report).and_then(|()| host::run(&site, &mut report));
    site.keep_logs(&cli.directory);
    print!("\n{report}");
    result.with_context(|| format!("logs are in {}", cli.directory.display()))?;
    let wrong = report.wrong();
    ensure!(wrong.is_empty(), "not as it should be:\n- {}", wrong.join("\n- "));
    if let Some(page) = &cli.record {
        fs::write(page, report.page()).with_context(|| format!("cannot write {}", page.display()))?;
    }
    Ok(())
}
