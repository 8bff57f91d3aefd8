//! The binary `tcproute` as users get it.

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
