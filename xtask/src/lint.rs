//! Clippy and rustdoc over the host's crates, with the pinned compiler; clippy over the eBPF crate, with one that knows
//! BPF.

use anyhow::{Context as _, Result};

use crate::{
    command,
    compiler::{Compiler, Origin},
    provision, workspace,
};

/// Lints everything but the eBPF crate.
pub(crate) fn host() -> Result<()> {
    let mut clippy = command::cargo();
    // Cargo does not hand its own --locked on to a subcommand of others.
    clippy.args(["clippy", "--locked", "--workspace", "--exclude", "tcproute-ebpf", "--all-targets"]);
    command::run(clippy.args(["--", "-Dwarnings"]))
}

/// Documentation of everything but the eBPF crate, private items included: links in it lead somewhere.
pub(crate) fn documentation() -> Result<()> {
    let mut doc = command::cargo();
    doc.args(["doc", "--workspace", "--exclude", "tcproute-ebpf", "--no-deps", "--document-private-items"]);
    command::run(doc.env("RUSTDOCFLAGS", "-Dwarnings"))
}

/// Lints the eBPF crate for its own target: for the host it has no panic handler and does not compile.
/// Says why not if there is no clippy to do it with.
pub(crate) fn ebpf() -> Result<Option<String>> {
    let Some(compiler) = with_clippy()? else {
        return Ok(Some(
            "no compiler for BPF has clippy (Debian: rust-web-clippy or rust-clippy)".to_owned(),
        ));
    };
    eprintln!("clippy of {compiler}");
    let mut clippy = compiler.clippy().context("clippy has disappeared")?;
    clippy.args(compiler.target_options()).args(["--package", "tcproute-ebpf", "--release"]);
    clippy.arg("--target-dir").arg(workspace::ebpf_target()).args(["--", "-Dwarnings"]);
    command::run(&mut clippy)?;
    Ok(None)
}

/// The first compiler for BPF with clippy; Debian's is given one if there is none.
fn with_clippy() -> Result<Option<Compiler>> {
    let compilers: Vec<_> =
        [Origin::Distribution, Origin::Nightly].into_iter().flat_map(Compiler::find).collect();
    if let Some(compiler) = compilers.iter().find(|compiler| compiler.clippy().is_some()) {
        return Ok(Some(compiler.clone()));
    }
    let distribution = compilers.into_iter().find(|compiler| compiler.origin == Origin::Distribution);
    if distribution.is_some() && provision::can_install() {
        let web = provision::is_installed("rustc-web");
        provision::ensure(&[if web { "rust-web-clippy" } else { "rust-clippy" }])?;
    }
    Ok(distribution.filter(|compiler| compiler.clippy().is_some()))
}
