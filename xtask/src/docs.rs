//! `cargo xtask docs`: pages that are made from the code, made anew. That they are current is what the unit tests
//! check.

use anyhow::{Context as _, Result};

use crate::command;

/// Writes docs/reference/cli.md and deploy/kubernetes/rbac.yaml.
pub(crate) fn run() -> Result<()> {
    let mut test = command::cargo();
    test.args([
        "test",
        "--quiet",
        "--package",
        "tcproute-userspace",
        "--test",
        "docs",
        "--",
        "command_line",
        "rbac",
    ]);
    command::run(test.env("TCPROUTE_WRITE_DOCS", "1")).context("cannot write the pages")
}
