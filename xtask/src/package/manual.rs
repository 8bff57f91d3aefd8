//! Pages of the manual and completions, which the crate's example `manual` makes from what clap knows.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command;

/// Writes them into a directory, and tells where it is.
pub(super) fn write(directory: &Path) -> Result<PathBuf> {
    let mut example = command::cargo();
    example.args(["run", "--quiet", "--package", "tcproute-userspace", "--example", "manual", "--"]);
    command::run(example.arg(directory)).context("cannot write the manual")?;
    Ok(directory.to_owned())
}
