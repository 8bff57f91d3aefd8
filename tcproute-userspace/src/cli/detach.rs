//! `tcproute detach`: the end of all routes on this node.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::output;
use crate::bpf::{pins, pins::PinDirectory, requirements};

#[derive(Debug, Args)]
pub(super) struct Detach {
    /// Where bpffs is mounted.
    #[arg(long, default_value = "/sys/fs/bpf", value_name = "DIR")]
    bpffs: PathBuf,
}

impl Detach {
    pub(super) fn run(&self) -> Result<ExitCode> {
        requirements::check()?;
        if !pins::exists(&self.bpffs) {
            output::write("nothing is attached\n")?;
            return Ok(ExitCode::SUCCESS);
        }
        let pins = PinDirectory::claim(&self.bpffs)?;
        let cgroups = pins.cgroups()?.len();
        pins.remove()?;
        output::write(&format!("detached from {cgroups} cgroups: connections go where they are dialled\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}
