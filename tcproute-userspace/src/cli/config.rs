//! `tcproute config`: what the daemon would go by, and where each of it is from.

use std::{ffi::OsString, process::ExitCode};

use anyhow::{Context, Result, anyhow};
use clap::{Arg, ArgMatches, Args, CommandFactory};
use serde::Serialize;

use super::{
    Cli,
    layers::{self, Layers, Origin, flags, values, variable},
    output::{self, Named, OutputArguments},
    run::Run,
    text::Text,
};

#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(flatten)]
    output: OutputArguments,
    /// Only what is not as by default.
    #[arg(long)]
    changed: bool,
    #[command(flatten)]
    run: Box<Run>,
}

/// The value of a flag.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Value {
    pub(super) flag: String,
    /// Several, if it takes several; none where there is no default.
    pub(super) values: Vec<String>,
    /// `command line`, the name of a variable, `FILE:LINE`, or `default`.
    from: String,
    variable: String,
}

impl Config {
    /// What the arguments of this command come to.
    pub(super) fn run(&self, layers: &Layers, matches: &ArgMatches) -> Result<ExitCode> {
        // That they can be used at all was seen when they were read.
        let Self { output, changed, run: _ } = self;
        output::print(output, &all(layers, matches, *changed), |all, _| table(all))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Named for Vec<Value> {
    fn names(&self) -> Vec<String> {
        self.iter().map(|value| value.flag.clone()).collect()
    }
}

/// The flags of the daemon, by name: all, or those that are not as by default.
fn all(layers: &Layers, matches: &ArgMatches, changed: bool) -> Vec<Value> {
    let command = Cli::command();
    let daemon = command.find_subcommand("run").into_iter().flat_map(flags);
    let value = |(flag, arg): (&str, &Arg)| {
        let origin = layers.origin(flag, matches, arg.get_id().as_str());
        let is_shown = !changed || origin != Origin::Default;
        is_shown.then(|| Value {
            flag: format!("--{flag}"),
            values: values(arg, matches),
            from: origin.to_string(),
            variable: variable(flag),
        })
    };
    let mut all: Vec<Value> = daemon.filter_map(value).collect();
    all.sort_by(|a, b| a.flag.cmp(&b.flag));
    all
}

/// What a daemon that is started with these arguments and variables goes by.
pub(super) fn of_daemon(
    arguments: Vec<OsString>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Value>> {
    let layers = Layers::of(arguments, environment, layers::read)?;
    let matches = Cli::command().try_get_matches_from(&layers.arguments);
    let matches = matches.map_err(|error| anyhow!("{}", layers.attribute(error).render()))?;
    let (_, matches) = matches.subcommand().context("it is no daemon")?;
    Ok(all(&layers, matches, false))
}

fn table(all: &[Value]) -> Text {
    let mut text = Text::default();
    let rows = all.iter().map(|value| vec![value.flag.clone(), value.values.join(" "), value.from.clone()]);
    text.table(&["FLAG", "VALUE", "FROM"], &[], rows);
    text
}
