//! `cargo xtask soak`: builds the soak test and runs it, here or in a virtual machine.

use std::{process::Command, time::Duration};

use anyhow::{Result, bail};

use crate::{
    command,
    machine::Source,
    provision,
    release::{build_release, build_tests_binary},
    vm_test::{self, Alone, Clock},
};

/// `cargo xtask soak`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    minutes: f64,
    /// Repeat the changes of an earlier run
    #[arg(long)]
    seed: Option<u64>,
    /// Processes that connect, in each workload and elsewhere
    #[arg(long, value_name = "N")]
    clients: Option<u32>,
    /// Connections per second of each of them, at most
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// The longest pause between two changes, in milliseconds
    #[arg(long, value_name = "MS")]
    pause: Option<u64>,
    /// Outbounds and services that come at a time, at most; 0 for none
    #[arg(long, value_name = "N")]
    many: Option<usize>,
    /// Run on this kernel, in a virtual machine: 5.10, 6.1, 6.12, latest or the path of a kernel image
    #[arg(long)]
    kernel: Option<Source>,
}

/// What a guest takes beside the time of the soak: to boot, to be ready and to clean up.
const BESIDE: Duration = Duration::from_mins(10);

/// Builds everything in release mode and soaks.
pub(crate) fn run(options: &Options) -> Result<()> {
    let arguments = options.arguments();
    if let Some(kernel) = &options.kernel {
        let patience = Duration::from_secs_f64(options.minutes.max(0.0) * 60.0) + BESIDE;
        let program = build_tests_binary("soak")?;
        let soak = Alone { name: "soak", program, arguments: &arguments, patience, clock: Clock::OfHost };
        let run = vm_test::run_alone(kernel, &soak, |line| {
            if line.starts_with("soak: ") {
                println!("{line}");
            }
        });
        return run.map(drop);
    }
    if !provision::is_root() {
        // With the PATH, since sudo's own seldom has cargo.
        bail!("the soak test needs root; run: sudo -E env \"PATH=$PATH\" cargo xtask soak");
    }
    let binary = build_release()?;
    command::run(Command::new(build_tests_binary("soak")?).args(&arguments).env("TCPROUTE_BIN", binary))
}

impl Options {
    /// For the soak test itself.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![format!("--minutes={}", self.minutes)];
        arguments.extend(self.seed.map(|seed| format!("--seed={seed}")));
        arguments.extend(self.clients.map(|clients| format!("--clients={clients}")));
        arguments.extend(self.rate.map(|rate| format!("--rate={rate}")));
        arguments.extend(self.pause.map(|pause| format!("--pause={pause}")));
        arguments.extend(self.many.map(|many| format!("--many={many}")));
        arguments
    }
}
