//! SIGHUP: what is set is looked at again. Sources are followed anyway, and what else is set by now holds for the next
//! start, which changes no connection.

use std::{collections::BTreeMap, ffi::OsString};

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches};
use tracing::{error, info, warn};

use super::{
    Cli,
    layers::{Layers, flags, values},
};

/// Tells what has changed since these arguments, completed, were taken.
pub(super) fn look(taken: &[OsString]) {
    match changed(taken) {
        Ok(changed) if changed.is_empty() => info!("the configuration is as it was"),
        Ok(changed) => {
            warn!(
                "the configuration has changed, which holds from the next start on: {}",
                changed.join(", ")
            );
        }
        Err(error) => error!("the configuration is wrong, so that the next start would fail: {error:#}"),
    }
}

/// The flags that are other by now.
fn changed(taken: &[OsString]) -> Result<Vec<String>> {
    let layers = Layers::of_process()?;
    let before = all(taken)?;
    let now = all(&layers.arguments).map_err(|error| layers.attribute(error))?;
    let differs = |(flag, values): (String, Vec<String>)| {
        (before.get(&flag) != Some(&values)).then(|| format!("--{flag}"))
    };
    Ok(now.into_iter().filter_map(differs).collect())
}

/// What all flags of `run` are by these arguments.
fn all(arguments: &[OsString]) -> Result<BTreeMap<String, Vec<String>>, clap::Error> {
    let command = Cli::command();
    let matches = command.clone().try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)?;
    let Some((name, matches)) = matches.subcommand() else { return Ok(BTreeMap::new()) };
    let run = command.find_subcommand(name).into_iter().flat_map(flags);
    Ok(run.map(|(flag, arg)| (flag.to_owned(), values(arg, matches))).collect())
}
