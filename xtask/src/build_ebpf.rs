//! `cargo xtask build-ebpf`: compiles tcproute-ebpf and places the finished objects in `target/bpf`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use anyhow::{Context as _, Result};

use crate::{
    command,
    compiler::TARGET,
    toolchain::{self, Toolchain, Wanted},
    workspace,
};

/// How to build the eBPF programs.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
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
    let target = workspace::target()?.join("ebpf");
    let mut build = cargo(&toolchain, "build");
    build.args(["--package", "tcproute-ebpf", "--release", "--target-dir"]).arg(&target);
    command::run(&mut build).context("cannot build the eBPF programs")?;
    let built = target.join(TARGET).join("release");
    Ok(Objects { tcproute: publish(&built, "tcproute")?, lru_balancer: publish(&built, "lru-balancer")? })
}

/// A cargo subcommand for the eBPF crate, by this toolchain.
pub(crate) fn cargo(toolchain: &Toolchain, subcommand: &str) -> Command {
    let linker = format!("-Clinker={}", toolchain.linker.path.display());
    let mut cargo = toolchain.compiler.cargo();
    cargo.arg(subcommand).args(toolchain.compiler.target_options());
    // This variable overrides every other source of flags: those meant for the host do not suit BPF.
    let flags = [linker.as_str(), "-Cdebuginfo=2", "-Clink-arg=--btf"];
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).env_remove("RUSTFLAGS");
    cargo
}

/// Copies an object to where tcproute-userspace takes it from, unless the same one is there already: a newer
/// time would have that crate compiled again for nothing.
fn publish(built: &Path, name: &str) -> Result<PathBuf> {
    let directory = workspace::objects();
    let (source, target) = (built.join(name), directory.join(format!("{name}.bpf.o")));
    let object = fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
    if fs::read(&target).is_ok_and(|old| old == object) {
        keep_newer_than_sources(&target)?;
        return Ok(target);
    }
    // Readers see the old object or the new one.
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    fs::write(&temporary, object).with_context(|| format!("cannot write {}", temporary.display()))?;
    fs::rename(&temporary, &target).with_context(|| format!("cannot write {}", target.display()))?;
    Ok(target)
}

/// After a change that leaves the object as it was, in a comment perhaps, the object must not pass for stale.
fn keep_newer_than_sources(object: &Path) -> Result<()> {
    let root = workspace::root();
    let sources = newest(&root.join("tcproute-ebpf"))?.max(newest(&root.join("tcproute-common/src"))?);
    if object.metadata()?.modified()? < sources {
        let file = fs::File::options().append(true).open(object)?;
        file.set_modified(SystemTime::now()).with_context(|| format!("cannot touch {}", object.display()))?;
    }
    Ok(())
}

/// When something in this directory was changed last.
fn newest(directory: &Path) -> Result<SystemTime> {
    let mut latest = SystemTime::UNIX_EPOCH;
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let changed =
            if entry.file_type()?.is_dir() { newest(&entry.path())? } else { entry.metadata()?.modified()? };
        latest = latest.max(changed);
    }
    Ok(latest)
}
