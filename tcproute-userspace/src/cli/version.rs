//! `tcproute version`: which build this is.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{
    output::{self, Format},
    text::Text,
};
use crate::version::Build;

#[derive(Debug, Args)]
pub(super) struct Version {
    /// How it is printed.
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    output: Format,
}

impl Version {
    pub(super) fn run(&self) -> Result<ExitCode> {
        output::print(self.output, &Build::THIS, text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn text(build: &Build) -> Text {
    let Build { version, commit, target, .. } = build;
    Text::of(format_args!("tcproute {version} ({}, {target})", commit.unwrap_or("of no known commit")))
}
