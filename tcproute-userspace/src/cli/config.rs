//! `tcproute config`: what the daemon would go by, and where each of it is from.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Arg, ArgMatches, Args, CommandFactory};
use serde::Serialize;

use super::{
    Cli,
    layers::{Layers, Origin, flags, values, variable},
    output::{self, Format},
    run::Run,
    text::Text,
};

#[derive(Debug, Args)]
pub(super) struct Config {
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Only what is not as by default.
    #[arg(long)]
    changed: bool,
    #[command(flatten)]
    run: Box<Run>,
}

/// The value of a flag.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    flag: String,
    /// Several, if it takes several; none where there is no default.
    values: Vec<String>,
    /// `command line`, the name of a variable, `FILE:LINE`, or `default`.
    from: String,
    variable: String,
}

impl Config {
    /// What the arguments of this command come to.
    pub(super) fn run(&self, layers: &Layers, matches: &ArgMatches) -> Result<ExitCode> {
        // That they can be used at all was seen when they were read.
        let Self { output, changed, run: _ } = self;
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
        output::print(*output, &all, |all| table(all))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn table(all: &[Value]) -> Text {
    let mut text = Text::default();
    let rows = all.iter().map(|value| vec![value.flag.clone(), value.values.join(" "), value.from.clone()]);
    text.table(&["FLAG", "VALUE", "FROM"], &[], rows);
    text
}
