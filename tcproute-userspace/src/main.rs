//! The binary `tcproute`.

use std::process::ExitCode;

use tcproute::{cli::Cli, memory::Patient};

#[global_allocator]
static MEMORY: Patient = Patient;

fn main() -> ExitCode {
    Cli::main()
}
