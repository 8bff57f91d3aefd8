//! Where the value of a flag is from: the command line, or else the environment, or else the configuration file, or
//! else the default. What is not from the command line is put there, so that there is one way to read it.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Result, anyhow};
use clap::{
    Arg, ArgAction, ArgMatches, Command, CommandFactory,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};

use super::{BadUsage, Cli};
use crate::{
    resources::nearest,
    sources::{InputError, InputErrors, Setting, settings},
};

/// The configuration file, unless another one is named.
pub(super) const FILE: &str = "/etc/tcproute/config.yaml";

/// The commands that have all that is in it.
const CONFIGURED: [&str; 2] = ["run", "config"];

/// What other commands have of it: where the daemon is.
const EVERYWHERE: [&str; 2] = ["admin-socket", "bpffs"];

/// Of which layer a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    CommandLine,
    /// By this variable.
    Environment(String),
    /// In this line.
    File(PathBuf, u32),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment(name) => f.write_str(name),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The arguments of a command, completed.
pub(super) struct Layers {
    /// As if all had been given on the command line.
    pub(super) arguments: Vec<OsString>,
    /// What was not, by the flags' names.
    origins: BTreeMap<String, Origin>,
}

/// The variable of a flag.
pub(super) fn variable(flag: &str) -> String {
    format!("TCPROUTE_{}", flag.to_uppercase().replace('-', "_"))
}

impl Layers {
    /// Of this process.
    pub(super) fn of_process() -> Result<Self> {
        Self::of_command(std::env::args_os().collect())
    }

    /// Of a command in the environment of this process.
    pub(super) fn of_command(given: Vec<OsString>) -> Result<Self> {
        let of_environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self::of(given, of_environment, read)
    }

    /// Completes these arguments by what a variable of the environment is and by what is in a file.
    pub(super) fn of(
        given: Vec<OsString>,
        environment: impl Fn(&str) -> Option<String>,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Self> {
        let found = Cli::command().ignore_errors(true).try_get_matches_from(&given).ok();
        let whole = Cli::command();
        let found = found.as_ref().and_then(ArgMatches::subcommand);
        let found = found.and_then(|(name, matches)| Some((name, matches, whole.find_subcommand(name)?)));
        let Some((name, matches, command)) = found else {
            return Ok(Self { arguments: given, origins: BTreeMap::new() });
        };
        let is_given =
            |arg: &Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        let set = of_file(name, matches, command, &environment, &read)?;
        let mut origins = BTreeMap::new();
        let mut more = Vec::new();
        for (flag, arg) in flags(command).filter(|(_, arg)| !is_given(arg)) {
            let variable = variable(flag);
            let (values, origin) = match (environment(&variable), set.get(flag)) {
                (Some(text), _) => (of_variable(arg, &text), Origin::Environment(variable)),
                (None, Some((values, origin))) => (values.clone(), origin.clone()),
                (None, None) => continue,
            };
            more.extend(arguments(flag, arg, &values, &origin)?);
            origins.insert(flag.to_owned(), origin);
        }
        let place = given.iter().position(|it| it.as_os_str() == name).map_or(given.len(), |place| place + 1);
        let mut arguments = given;
        arguments.splice(place..place, more);
        Ok(Self { arguments, origins })
    }

    /// Where a flag has its value from.
    pub(super) fn origin(&self, flag: &str, matches: &ArgMatches, id: &str) -> Origin {
        match (self.origins.get(flag), matches.value_source(id)) {
            (Some(origin), _) => origin.clone(),
            (None, Some(ValueSource::CommandLine)) => Origin::CommandLine,
            (None, _) => Origin::Default,
        }
    }

    /// Tells of what clap says is wrong where it is from, if it is not from the command line.
    pub(super) fn attribute(&self, mut error: clap::Error) -> clap::Error {
        let Some(ContextValue::String(of)) = error.get(ContextKind::InvalidArg) else { return error };
        let is_it = |flag: &str| of.strip_prefix("--").is_some_and(|of| of.split(' ').next() == Some(flag));
        if let Some((_, origin)) = self.origins.iter().find(|(flag, _)| is_it(flag)) {
            let told = format!("{of} (from {origin})");
            error.insert(ContextKind::InvalidArg, ContextValue::String(told));
        }
        error
    }
}

/// The flags of a command that may be set elsewhere, by name.
pub(super) fn flags(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    let own = |arg: &&Arg| !matches!(arg.get_action(), ArgAction::Help | ArgAction::Version);
    command.get_arguments().filter(own).filter_map(|arg| Some((arg.get_long()?, arg)))
}

/// What a flag is, as text.
pub(super) fn values(arg: &Arg, matches: &ArgMatches) -> Vec<String> {
    if !arg.get_action().takes_values() {
        return vec![matches.get_flag(arg.get_id().as_str()).to_string()];
    }
    let raw = matches.get_raw(arg.get_id().as_str());
    raw.into_iter()
        .flatten()
        .map(|value: &OsStr| OsString::from(value).to_string_lossy().into_owned())
        .collect()
}

/// What the configuration file sets for this command.
fn of_file(
    name: &str,
    matches: &ArgMatches,
    command: &Command,
    environment: &impl Fn(&str) -> Option<String>,
    read: &impl Fn(&Path) -> io::Result<String>,
) -> Result<BTreeMap<String, (Vec<String>, Origin)>> {
    let is_configured = CONFIGURED.contains(&name);
    if !is_configured && !flags(command).any(|(flag, _)| EVERYWHERE.contains(&flag)) {
        return Ok(BTreeMap::new());
    }
    let named = matches.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    let named = named.or_else(|| environment(&variable("config")).map(PathBuf::from));
    let path = named.clone().unwrap_or_else(|| FILE.into());
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
            return Ok(BTreeMap::new());
        }
        // Others than the daemon may not be meant to read it.
        Err(_) if !is_configured => return Ok(BTreeMap::new()),
        Err(error) => return Err(anyhow!(BadUsage(format!("cannot read {}: {error}", path.display())))),
    };
    let all = match settings(&path, &text) {
        Ok(all) => all,
        Err(_) if !is_configured => return Ok(BTreeMap::new()),
        Err(errors) => return Err(errors.into()),
    };
    let known: Vec<&str> = flags(command).map(|(flag, _)| flag).filter(|flag| *flag != "config").collect();
    let unknown = all.iter().filter(|setting| is_configured && !known.contains(&&*setting.name));
    let errors: Vec<InputError> = unknown.map(|setting| unknown_setting(&path, setting, &known)).collect();
    if !errors.is_empty() {
        return Err(InputErrors(errors).into());
    }
    let counts = |setting: &Setting| is_configured || EVERYWHERE.contains(&&*setting.name);
    let set = |Setting { name, values, at: (line, _) }| (name, (values, Origin::File(path.clone(), line)));
    Ok(all.into_iter().filter(counts).map(set).collect())
}

fn unknown_setting(path: &Path, Setting { name, at, .. }: &Setting, known: &[&str]) -> InputError {
    let near = nearest(name, known.iter().copied());
    let meant = near.map(|near| format!(", did you mean {near:?}?")).unwrap_or_default();
    InputError {
        file: path.to_path_buf(),
        at: Some(*at),
        path: String::new(),
        message: format!("unknown setting {name:?}{meant}"),
        suggestion: near.map(str::to_owned),
    }
}

/// The values in a variable: several are apart by spaces.
fn of_variable(arg: &Arg, text: &str) -> Vec<String> {
    match arg.get_action() {
        ArgAction::Append => text.split_whitespace().map(str::to_owned).collect(),
        _ => vec![text.to_owned()],
    }
}

/// The arguments that set a flag to these values.
fn arguments(flag: &str, arg: &Arg, values: &[String], origin: &Origin) -> Result<Vec<OsString>> {
    let wrong = |why: &str| Err(anyhow!(BadUsage(format!("--{flag} (from {origin}): {why}"))));
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return match values {
            [value] if value == "true" => Ok(vec![format!("--{flag}").into()]),
            [value] if value == "false" => Ok(Vec::new()),
            _ => wrong("must be true or false"),
        };
    }
    if values.len() != 1 && !matches!(arg.get_action(), ArgAction::Append) {
        return wrong("takes one value");
    }
    Ok(values.iter().map(|value| format!("--{flag}={value}").into()).collect())
}

/// Reads a file of the size that such files have.
pub(super) fn read(path: &Path) -> io::Result<String> {
    const MOST: u64 = 1 << 20;
    if fs::metadata(path)?.len() > MOST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests;
