//! `cargo xtask build-ebpf`: compiles tcproute-ebpf and places the finished objects in `target/bpf`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result};

use crate::{
    command,
    compiler::TARGET,
    toolchain::{self, Wanted},
    workspace,
};

/// How to build the eBPF programs.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Which compiler to use
    #[arg(long, value_enum, default_value_t)]
    pub(crate) toolchain: Wanted,
}

/// The finished objects.
#[derive(Debug)]
pub(crate) struct Objects {
    /// tcproute's own programs.
    pub(crate) tcproute: PathBuf,
    /// The peer that only the benchmark loads.
    pub(crate) lru_balancer: PathBuf,
}

/// Builds both objects.
pub(crate) fn run(options: &Options) -> Result<Objects> {
    let toolchain = toolchain::provide(options.toolchain)?;
    // This variable overrides every other source of flags: those meant for the host do not suit BPF.
    let linker = format!("-Clinker={}", toolchain.linker.path.display());
    let own = workspace::without_own_paths();
    let flags = [
        &[&*linker, "-Cdebuginfo=2", "-Ctarget-cpu=v3", "-Clink-arg=--btf"],
        &own.each_ref().map(|flag| &**flag)[..],
    ]
    .concat()
    .join("\x1f");
    let target = workspace::ebpf_target();
    let mut build = toolchain.compiler.cargo();
    build.env("CARGO_ENCODED_RUSTFLAGS", flags).arg("build").args(toolchain.compiler.target_options());
    build.args(["--package", "tcproute-ebpf", "--release", "--target-dir"]).arg(&target);
    command::run(&mut build).context("cannot build the eBPF programs")?;
    let artifacts = target.join(TARGET).join("release");
    Ok(Objects {
        tcproute: publish(&artifacts, "tcproute")?,
        lru_balancer: publish(&artifacts, "lru-balancer")?,
    })
}

/// Copies an object to where tcproute-userspace takes it from, unless the same one is there already: a newer
/// time would have that crate compiled again for nothing.
fn publish(artifacts: &Path, name: &str) -> Result<PathBuf> {
    let directory = workspace::objects();
    let (source, target) = (artifacts.join(name), directory.join(format!("{name}.bpf.o")));
    let object = fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
    if fs::read(&target).is_ok_and(|old| old == object) && is_newer_than_sources(&target)? {
        return Ok(target);
    }
    // Readers see the old object or the new one.
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    fs::write(&temporary, object).with_context(|| format!("cannot write {}", temporary.display()))?;
    fs::rename(&temporary, &target).with_context(|| format!("cannot write {}", target.display()))?;
    Ok(target)
}

/// By this tcproute-userspace tells a stale object. After a change in a comment, the same object needs a new time.
fn is_newer_than_sources(object: &Path) -> Result<bool> {
    let root = workspace::root();
    let sources = newest(&root.join("tcproute-ebpf"))?.max(newest(&root.join("tcproute-common/src"))?);
    Ok(object.metadata()?.modified()? >= sources)
}

/// When a source in this directory was changed last. As in `tcproute-userspace/build.rs`.
fn newest(directory: &Path) -> Result<SystemTime> {
    let mut latest = SystemTime::UNIX_EPOCH;
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            latest = latest.max(newest(&path)?);
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "toml") {
            latest = latest.max(path.metadata()?.modified()?);
        }
    }
    Ok(latest)
}
