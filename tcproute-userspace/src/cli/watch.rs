//! Printing anew what changes, until it is interrupted.

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use super::{
    output::{Format, OutputArguments},
    seconds,
};

/// Clears a terminal and begins at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Begins a document of YAML.
const NEXT: &str = "---\n";

#[derive(Debug, Args)]
pub(super) struct WatchArguments {
    /// Print it again each SECONDS, until it is interrupted.
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = seconds)]
    watch: Option<Duration>,
}

impl WatchArguments {
    pub(super) const fn is_given(&self) -> bool {
        self.watch.is_some()
    }

    /// Prints once, or again and again for as long as anybody reads on. What is printed is told how it begins.
    pub(super) async fn print(
        &self,
        output: &OutputArguments,
        print: impl AsyncFn(&str) -> Result<bool>,
    ) -> Result<ExitCode> {
        let Some(every) = self.watch else {
            print("").await?;
            return Ok(ExitCode::SUCCESS);
        };
        let begin = match &output.output {
            format if format.is_table() && io::stdout().is_terminal() => CLEAR,
            Format::Yaml => NEXT,
            _ => "",
        };
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
                _ = ticks.tick() => if !print(begin).await? {
                    return Ok(ExitCode::SUCCESS);
                },
            }
        }
    }
}
