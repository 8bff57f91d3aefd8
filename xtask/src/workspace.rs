//! Where things are: the checkout and what xtask writes into it.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable when it runs xtask, so that a moved checkout is found too.
    let manifest =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest.parent().map_or_else(|| manifest.clone(), PathBuf::from)
}

/// Cargo's target directory, which the environment may move.
pub(crate) fn target() -> Result<PathBuf> {
    match env::var_os("CARGO_TARGET_DIR") {
        // Cargo takes a relative one from its own working directory.
        Some(moved) => {
            let moved = PathBuf::from(moved);
            Ok(env::current_dir().context("cannot tell the working directory")?.join(moved))
        }
        None => Ok(root().join("target")),
    }
}

/// Where finished eBPF objects lie. `tcproute-userspace/build.rs` looks here, wherever cargo's target directory is.
pub(crate) fn objects() -> PathBuf {
    root().join("target/bpf")
}

/// Where xtask installs the tools that it builds itself.
pub(crate) fn tools() -> PathBuf {
    root().join("target/tools")
}
