//! `tcproute completions`: a script by which a shell completes commands, options and names.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum as _};
use clap_complete::Shell;

use super::{complete, output};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell that is to read it.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<ExitCode> {
        output::write(&completion_script(self.shell)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What a shell is to read.
pub fn completion_script(shell: Shell) -> Result<String> {
    let value = shell.to_possible_value().context("the shell has no name")?;
    complete::script(value.get_name()).context("cannot write the script")
}
