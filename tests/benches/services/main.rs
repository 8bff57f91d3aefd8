//! How tcproute and its peers fare as services grow in number: a connection to the last of them, the time to load them
//! all, that from a changed weight to the first connection that obeys it, memory, and what is done at rest. Run it by
//! `cargo xtask bench services`.
//!
//! Each contender has a network of its own and first shows that it routes; then they take turns. Nothing is held
//! against a goal but tcproute's own figures, and nothing fails by how long it takes.

mod agent;
mod change;
mod connect4;
mod contenders;
mod dialling;
mod goals;
#[path = "../in_memory/mod.rs"]
mod in_memory;
mod load;
mod maps;
mod mesh;
mod point;
mod report;
mod watch;

use std::{net::SocketAddrV4, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Parser, builder::PossibleValuesParser};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tcproute_tests::{
    bench::{
        load::{Order, run as run_client},
        server, session,
    },
    interrupt,
};

use crate::{contenders::ALL, mesh::Services, report::Report};

/// Measures tcproute beside its peers by the number of services
#[derive(Parser)]
struct Options {
    /// Services, each with two backendRefs and ten endpoints; the first is what the others are compared with
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = [1, 100, 1000, 10_000],
        value_parser = clap::value_parser!(u32).range(1..=mesh::MOST)
    )]
    services: Vec<u32>,
    /// How often connections of each contender are measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Connections per round and contender
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(20..=10_000_000))]
    connections: u32,
    /// How often a weight is changed
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    tries: u32,
    /// Seconds that loading may take, and a change; who takes longer is absent
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    patience: u64,
    /// Which contenders, and a direct connection; all if not given
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(ALL.iter().map(|kind| kind.name)))]
    only: Vec<String>,
    /// Where the figures are written as JSON; the tables are written beside it, as Markdown
    #[arg(long)]
    output: Option<PathBuf>,
    /// Who cannot be had, and why: the beginning of its name, `=`, and the reason
    #[arg(long, hide = true, value_parser = session::absent)]
    absent: Vec<(String, String)>,
    /// Be a server, whose standard input is the socket that listens
    #[arg(long, hide = true)]
    serve: bool,
    /// Be a client, with this order as JSON
    #[arg(long, hide = true)]
    client: Option<Order>,
    /// Be a client that dials this address all the time, and tells when another one answers
    #[arg(long, hide = true)]
    watch: Option<SocketAddrV4>,
    /// Be a client that dials services, with this order as JSON
    #[arg(long, hide = true)]
    dial: Option<dialling::Order>,
    /// Cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    const fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }

    /// Why one cannot be had.
    fn is_absent(&self, name: &str) -> Option<&str> {
        let (_, why) = self.absent.iter().find(|(begins, _)| name.starts_with(begins.as_str()))?;
        Some(why)
    }
}

fn main() -> ExitCode {
    interrupt::ended("services", run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    if options.serve {
        return server::run();
    }
    if let Some(order) = &options.client {
        return run_client(order);
    }
    if let Some(address) = options.watch {
        return watch::run(address);
    }
    if let Some(order) = &options.dial {
        return dialling::run(order);
    }
    if !tcproute_tests::is_root("services") {
        return Ok(());
    }
    // A proxy has a socket for each service.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("cannot raise the limit of open files")?;
    session::begin()?;

    let (mut points, mut own) = (Vec::new(), Vec::new());
    for &services in &options.services {
        let services = Services(services);
        eprintln!("{services}");
        let (point, tcproute) = point::measure(services, options)?;
        points.push(point);
        own.extend(tcproute);
    }
    let connect4 = connect4::measure(&own, options)?;
    let report = Report { options, points: &points, connect4: &connect4 };
    let text = report.text();
    session::hand_over(&text, options.output.as_deref(), || report.json())
}
