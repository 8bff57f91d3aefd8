//! `tcproute version`: which build this is.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{
    output::{self, Named, OutputArguments},
    text::Text,
};
use crate::version::Build;

#[derive(Debug, Args)]
pub(super) struct Version {
    #[command(flatten)]
    output: OutputArguments,
}

impl Version {
    pub(super) fn run(&self) -> Result<ExitCode> {
        output::print(&self.output, &Build::THIS, |build, _| text(build))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Named for Build {
    fn names(&self) -> Vec<String> {
        vec![format!("tcproute/{}", self.version)]
    }
}

fn text(build: &Build) -> Text {
    let Build { version, commit, target, .. } = build;
    Text::of(format_args!("tcproute {version} ({}, {target})", commit.unwrap_or("of no known commit")))
}
