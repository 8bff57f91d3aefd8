//! What people run, with and without tcproute, and beside HAProxy and Envoy. Run it by `cargo xtask bench
//! applications`.
//!
//! Each application has two servers that all contenders share, and is told nothing but the address to dial. Contenders
//! first show that they route, then take turns, and each is compared with a direct connection in the same round.

mod application;
mod changes;
mod contenders;
mod report;
mod rounds;
mod site;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, builder::PossibleValuesParser};
use tcproute_tests::{bench::session, interrupt};

use crate::{report::Report, rounds::Extent};

/// By which what happens when a route changes is asked for.
const CHANGES: &str = "changes";

/// Measures applications with tcproute and its peers
#[derive(Parser)]
struct Options {
    /// How often each contender is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(5..))]
    rounds: u32,
    /// Connections per round and contender; what else is done follows
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    connections: u32,
    /// Which applications; all if not given
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(names()))]
    only: Vec<String>,
    /// Where the figures are written as JSON; the tables are written beside it, as Markdown
    #[arg(long)]
    output: Option<PathBuf>,
    /// What cannot be had, and why: its name, `=`, and the reason
    #[arg(long, hide = true, value_parser = session::absent)]
    absent: Vec<(String, String)>,
    /// Cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

/// Of applications, and of what else is measured.
fn names() -> impl Iterator<Item = &'static str> {
    application::ALL.iter().map(|kind| kind.name).chain([CHANGES])
}

/// What cannot be had here, by its name.
pub(crate) struct Absent(Vec<(String, String)>);

impl Absent {
    /// Why it cannot be had.
    pub(crate) fn why(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(it, _)| it == name).map(|(_, why)| why.as_str())
    }
}

fn main() -> ExitCode {
    interrupt::ended("applications", run(Options::parse()))
}

fn run(options: Options) -> Result<()> {
    if !tcproute_tests::is_root("applications") {
        return Ok(());
    }
    session::begin()?;

    let is_wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|it| it == name);
    let absent = Absent(options.absent);
    let extent = Extent { rounds: options.rounds, connections: options.connections };
    let mut report = Report { extent, applications: Vec::new(), changes: Vec::new() };
    for kind in application::ALL.iter().filter(|kind| is_wanted(kind.name)) {
        let measured = match absent.why(kind.name) {
            Some(why) => Err(why.to_owned()),
            None => Ok(rounds::measure(kind, extent, &absent).context(kind.title)?),
        };
        report.applications.push((kind, measured));
    }
    if is_wanted(CHANGES) {
        report.changes = changes::watched(&absent)?;
    }
    let text = report.text();
    session::hand_over(&text, options.output.as_deref(), || report.json())
}
