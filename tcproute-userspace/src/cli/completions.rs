//! `tcproute completions`: a script by which a shell completes commands and options.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::{Cli, output};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell that is to read it.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "tcproute", &mut script);
        output::write(std::str::from_utf8(&script).context("the script is not text")?)?;
        Ok(ExitCode::SUCCESS)
    }
}
