//! Writes the pages of the manual and the completions of shells into a directory: for packages.

use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;
use tcproute::cli::{Cli, completion_script};

fn main() -> Result<()> {
    let directory = PathBuf::from(env::args_os().nth(1).context("usage: manual DIRECTORY")?);
    fs::create_dir_all(&directory)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &directory)?;
    for (shell, file) in
        [(Shell::Bash, "tcproute.bash"), (Shell::Fish, "tcproute.fish"), (Shell::Zsh, "_tcproute")]
    {
        fs::write(directory.join(file), completion_script(shell)?)?;
    }
    Ok(())
}
