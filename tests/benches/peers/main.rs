//! tcproute beside its peers: what a connection through each costs, and what is sent over it. Run it by
//! `cargo xtask bench peers`.
//!
//! Each contender has a network of its own with backends of its own, and first shows that it routes. Then they take
//! turns, and each is compared with a direct connection in the same round, since other load on the machine changes over
//! time. All have the same client and the same server, which are this program again.

mod contenders;
mod proof;
mod report;
mod rounds;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, builder::PossibleValuesParser};
use tcproute_tests::{
    bench::{
        comparison::{self, Comparison, Found},
        load::{self, Order},
        server, session,
    },
    interrupt,
};

use crate::{
    contenders::{ALL, Contender, Kind},
    rounds::Extent,
};

/// Measures tcproute beside its peers
#[derive(Parser)]
struct Options {
    /// How often each contender is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(5..))]
    rounds: u32,
    /// Connections per round and contender; requests and bytes follow
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(20..=10_000_000))]
    connections: u32,
    /// Which contenders; all if not given
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
    /// Cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    interrupt::ended("peers", run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    if options.serve {
        return server::run();
    }
    if let Some(order) = &options.client {
        return load::run(order);
    }
    if !tcproute_tests::is_root("peers") {
        return Ok(());
    }
    session::begin()?;

    let mut comparison = Comparison::default();
    let mut present = Vec::new();
    for kind in chosen(&options.only) {
        eprintln!("{}: to be installed", kind.title);
        let found = match installed(kind, &options.absent)? {
            Ok((contender, found)) => {
                present.push(contender);
                Ok(found)
            }
            Err(why) => {
                eprintln!("{}: absent: {why}", kind.title);
                Err(why)
            }
        };
        comparison.0.push(comparison::Contender {
            name: kind.name,
            title: kind.title,
            base: kind.base,
            found,
        });
    }
    rounds::measure(&present, Extent::of(options.rounds, options.connections), &mut comparison)?;
    let text = report::text(&comparison, options.rounds, options.connections);
    session::hand_over(&text, options.output.as_deref(), || {
        report::json(&comparison, options.rounds, options.connections)
    })
}

/// In their order, and with whom they are compared.
fn chosen(only: &[String]) -> impl Iterator<Item = &'static Kind> {
    let is_named = |name: &str| only.iter().any(|it| it == name);
    let is_base = move |kind: &Kind| ALL.iter().any(|other| other.base == kind.name && is_named(other.name));
    ALL.iter().filter(move |kind| only.is_empty() || is_named(kind.name) || is_base(kind))
}

/// One that routes, or why it does not.
fn installed(kind: &'static Kind, absent: &[(String, String)]) -> Result<Result<(Contender, Found), String>> {
    interrupt::go_on()?;
    if let Some((_, why)) = absent.iter().find(|(name, _)| kind.name.starts_with(name.as_str())) {
        return Ok(Err(why.clone()));
    }
    match proof::routing(kind) {
        Ok(routing) => Ok(Ok(routing)),
        // Without these there is nothing to be compared.
        Err(error) if kind.is_own() => Err(error.context(kind.title)),
        Err(error) => Ok(Err(format!("{error:#}"))),
    }
}
