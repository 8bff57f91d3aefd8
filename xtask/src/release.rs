//! Binaries in release mode: `tcproute` as users get it, and the tests that are programs of their own.

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

/// Builds the soak test or the fault suite, and tells where it is.
pub(crate) fn build_tests_binary(name: &str) -> Result<PathBuf> {
    command::run(command::cargo().args(["build", "--release", "--package", "tcproute-tests", "--bin", name]))
        .with_context(|| format!("cannot build {name}"))?;
    Ok(workspace::target().join("release").join(name))
}
