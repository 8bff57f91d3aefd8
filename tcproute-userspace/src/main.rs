//! The binary `tcproute`.

use std::process::ExitCode;

use tcproute::cli::Cli;

fn main() -> ExitCode {
    Cli::main()
}
