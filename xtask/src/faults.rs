//! `cargo xtask faults`: builds the fault suite and runs it.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    command, provision,
    release::{build_release, build_tests_binary},
};

/// `cargo xtask faults`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long; without it until 1,000 calls were made to fail
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
    /// Choose the faults of an earlier run
    #[arg(long)]
    seed: Option<u64>,
}

/// Builds everything in release mode and runs the suite.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !provision::is_root() {
        // With the PATH, since sudo's own seldom has cargo.
        bail!("the fault suite needs root; run: sudo -E env \"PATH=$PATH\" cargo xtask faults");
    }
    provision::ensure(&[STRACE])?;
    suite(&options.arguments())
}

/// What makes system calls fail.
const STRACE: &str = "strace";

/// As a step of the tests: why it is skipped, if it is.
pub(crate) fn step() -> Result<Option<String>> {
    if let Err(error) = provision::ensure(&[STRACE]) {
        return Ok(Some(format!("{error:#}")));
    }
    suite(&[]).map(|()| None)
}

fn suite(arguments: &[String]) -> Result<()> {
    let binary = build_release()?;
    command::run(Command::new(build_tests_binary("faults")?).args(arguments).env("TCPROUTE_BIN", binary))
}

impl Options {
    /// For the suite itself.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        arguments.extend(self.minutes.map(|minutes| format!("--minutes={minutes}")));
        arguments.extend(self.seed.map(|seed| format!("--seed={seed}")));
        arguments
    }
}
