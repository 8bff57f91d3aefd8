//! The binary `tcproute`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use tcproute::cli::Cli;
use tokio::runtime::Runtime;

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    cli.prepare()?;
    let runtime = Runtime::new().context("cannot start threads")?;
    let code = runtime.block_on(cli.run());
    // Not waiting for a resolver or a file system that does not answer.
    runtime.shutdown_background();
    Ok(code)
}
