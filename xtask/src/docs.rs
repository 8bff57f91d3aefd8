//! `cargo xtask docs`: pages that are made from the code, made anew. That they are current is what the unit tests
//! check.

use anyhow::{Context as _, Result};

use crate::command;

/// Writes docs/reference/cli.md, deploy/kubernetes/rbac.yaml, and what of the chart is made from the code.
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
        "chart",
        "dashboards",
    ]);
    command::run(test.env("TCPROUTE_WRITE_DOCS", "1")).context("cannot write the pages")
}
