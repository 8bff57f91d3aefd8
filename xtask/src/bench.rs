//! `cargo xtask bench`: provides what the benchmarks need, and runs them.

use anyhow::{Result, bail};

use crate::{command, provision, release::build_release, workspace};

/// What the benchmark calls.
const PACKAGES: [&str; 2] = ["bpftool", "iproute2"];

/// `cargo xtask bench`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to measure; everything if not given
    what: Option<What>,
    /// How often each contender is measured
    #[arg(long)]
    rounds: Option<u32>,
    /// Connections per round and contender
    #[arg(long)]
    connections: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// What a connection costs; as root
    Connect,
    /// How long it takes to resolve the routes of a large mesh
    Resolve,
}

/// Builds everything in release mode and measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.what != Some(What::Connect) {
        command::run(command::cargo().args([
            "bench",
            "--package",
            "tcproute-userspace",
            "--bench",
            "resolve",
        ]))?;
    }
    if options.what != Some(What::Resolve) {
        connect(options)?;
    }
    Ok(())
}

fn connect(options: &Options) -> Result<()> {
    if !provision::is_root() {
        // With the PATH, since sudo's own seldom has cargo.
        bail!("the benchmark needs root; run: sudo -E env \"PATH=$PATH\" cargo xtask bench connect");
    }
    provision::ensure(&PACKAGES)?;
    let binary = build_release()?;
    let mut bench = command::cargo();
    bench
        .args(["bench", "--package", "tcproute-tests", "--bench", "connect", "--"])
        .env("TCPROUTE_BIN", binary)
        .env("TCPROUTE_LRU_BALANCER", workspace::objects().join("lru-balancer.bpf.o"));
    for (option, value) in [("--rounds", options.rounds), ("--connections", options.connections)] {
        if let Some(value) = value {
            bench.arg(option).arg(value.to_string());
        }
    }
    command::run(&mut bench)
}
