//! Writes the pages of the manual and the completions of shells into a directory: for packages.

use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::{Shell, generate_to};
use tcproute::cli::Cli;

fn main() -> Result<()> {
    let directory = PathBuf::from(env::args_os().nth(1).context("usage: manual DIRECTORY")?);
    fs::create_dir_all(&directory)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &directory)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        generate_to(shell, &mut Cli::command(), "tcproute", &directory)?;
    }
    Ok(())
}
