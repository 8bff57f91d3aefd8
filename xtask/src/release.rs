//! Binaries in release mode: `tcproute` as users get it, and the tests that are programs of their own.

use std::{env, path::PathBuf, process::Command, sync::Once};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{build_ebpf, command, commit::Commit, platform::Platform, workspace};

/// Builds the eBPF objects and then the release binary that embeds them, and returns its path. It is the very one that
/// packages have, so that this is what tests and benchmarks run; only where it cannot be built, one for this machine.
pub(crate) fn build_release() -> Result<PathBuf> {
    build_ebpf::run(&build_ebpf::Options::default())?;
    let (mut build, directory) = of_this_machine();
    command::run(build.args(["--package", "tcproute-userspace"])).context("cannot build the binary")?;
    Ok(directory.join("tcproute"))
}

/// Builds the static release binary for a platform, from eBPF objects that are there.
pub(crate) fn build_static(platform: Platform) -> Result<PathBuf> {
    let (mut build, directory) = static_build(platform)?;
    command::run(build.args(["--package", "tcproute-userspace"]))
        .with_context(|| format!("cannot build the binary for {platform}"))?;
    Ok(directory.join("tcproute"))
}

/// Builds the soak test or the fault suite, and tells where it is.
pub(crate) fn build_tests_binary(name: &str) -> Result<PathBuf> {
    let (mut build, directory) = of_this_machine();
    command::run(build.args(["--package", "tcproute-tests", "--bin", name]))
        .with_context(|| format!("cannot build {name}"))?;
    Ok(directory.join(name))
}

/// Builds a benchmark of the kernel tests, and tells where it is.
pub(crate) fn build_tests_bench(name: &str) -> Result<PathBuf> {
    let (mut build, _) = of_this_machine();
    build.args(["--package", "tcproute-tests", "--bench", name, "--message-format=json-render-diagnostics"]);
    let messages = command::capture(&mut build).with_context(|| format!("cannot build {name}"))?;
    let executable = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        // Programs of the package are built for it, too.
        let is_wanted = message["target"]["name"] == name;
        message["executable"].as_str().filter(|_| is_wanted).map(PathBuf::from)
    };
    messages.lines().find_map(executable).with_context(|| format!("cargo tells of no program {name}"))
}

static TOLD: Once = Once::new();

/// A build for this machine, and where its programs will be.
fn of_this_machine() -> (Command, PathBuf) {
    let why_not = match Platform::host().map(static_build) {
        Some(Ok(build)) => return build,
        Some(Err(why)) => format!("{why:#}"),
        None => format!("nothing is packaged for {}", env::consts::ARCH),
    };
    TOLD.call_once(|| eprintln!("warning: the binary is not the static one of packages: {why_not}"));
    let mut build = command::cargo();
    build.args(["build", "--release"]);
    (build, workspace::target().join("release"))
}

fn static_build(platform: Platform) -> Result<(Command, PathBuf)> {
    let mut build = command::cargo();
    build.args(["build", "--release"]);
    platform.configure(&mut build)?;
    build.env("CARGO_ENCODED_RUSTFLAGS", workspace::without_own_paths().join("\x1f"));
    if let Some(commit) = Commit::of_checkout() {
        build.env("TCPROUTE_COMMIT", commit.to_string());
    }
    Ok((build, workspace::target().join(platform.target()).join("release")))
}
