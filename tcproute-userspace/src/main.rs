//! The binary `tcproute`.

use std::process::ExitCode;

use clap::Parser;
use tcproute::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
