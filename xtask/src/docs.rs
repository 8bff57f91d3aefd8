//! `cargo xtask docs`: pages that are made from the code, made anew. That they are current is what the unit tests
//! check.

use anyhow::{Context as _, Result};

use crate::command;

/// Writes docs/reference/cli.md.
pub(crate) fn run() -> Result<()> {
    let mut test = command::cargo();
    test.args(["test", "--quiet", "--package", "tcproute-userspace", "--test", "docs", "command_line"]);
    command::run(test.env("TCPROUTE_WRITE_DOCS", "1")).context("cannot write docs/reference/cli.md")
}
