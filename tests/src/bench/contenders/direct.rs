//! Nothing: clients dial a backend. No way to it can be better.

use std::fs;

use anyhow::{Context as _, Result};

use super::Installed;

/// The version is that of the kernel, which does it all.
pub fn install() -> Result<Installed> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot tell the kernel")?;
    Ok(Installed::in_kernel(format!("Linux {}", release.trim())))
}
