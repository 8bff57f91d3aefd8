//! Binaries in release mode: `tcproute` as users get it, and the soak test.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{build_ebpf, command, workspace};

/// Builds the eBPF objects and then the release binary that embeds them, and returns its path.
pub(crate) fn build_release() -> Result<PathBuf> {
    build_ebpf::run(&build_ebpf::Options::default())?;
    command::run(command::cargo().args(["build", "--release", "--package", "tcproute-userspace"]))
        .context("cannot build the binary")?;
    Ok(workspace::target().join("release/tcproute"))
}

/// Builds the soak test, and tells where it is.
pub(crate) fn build_soak() -> Result<PathBuf> {
    command::run(command::cargo().args([
        "build",
        "--release",
        "--package",
        "tcproute-tests",
        "--bin",
        "soak",
    ]))
    .context("cannot build the soak test")?;
    Ok(workspace::target().join("release/soak"))
}
