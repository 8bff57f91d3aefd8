//! `cargo xtask test`: everything that is checked before a change goes in, the quick before the slow.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::{build_ebpf, command, lint, provision, release::build_release, report::Report};

/// Runs the steps up to the first that fails, and prints the table of them.
pub(crate) fn run() -> Result<()> {
    let mut report = Report::default();
    let result = steps(&mut report);
    eprintln!();
    println!("{report}");
    result
}

fn steps(report: &mut Report) -> Result<()> {
    report.step("format", || {
        require_component("fmt", "rustfmt")?;
        command::run(command::cargo().args(["fmt", "--all", "--check"])).context("run `cargo fmt --all`")
    })?;
    report.step("eBPF build", || build_ebpf::run(&build_ebpf::Options::default()).map(drop))?;
    report.step("lints", || {
        require_component("clippy", "clippy")?;
        lint::host()
    })?;
    report.optional_step("lints (eBPF)", lint::ebpf)?;
    report.step("unit tests", || {
        let excluded = ["--exclude", "tcproute-ebpf", "--exclude", "tcproute-tests"];
        command::run(command::cargo().args(["test", "--workspace"]).args(excluded))
    })?;
    let mut binary = PathBuf::new();
    report.step("release build", || {
        binary = build_release()?;
        Ok(())
    })?;
    report.optional_step("kernel tests", || {
        if !provision::is_root() {
            // With the PATH, since sudo's own seldom has cargo.
            return Ok(Some("they need root; run: sudo -E env \"PATH=$PATH\" cargo xtask test".to_owned()));
        }
        provision::ensure(&provision::KERNEL_TESTS)?;
        command::run(
            command::cargo().args(["test", "--package", "tcproute-tests"]).env("TCPROUTE_BIN", &binary),
        )?;
        Ok(None)
    })
}

/// Some installations of Rust come without rustfmt and clippy.
fn require_component(subcommand: &str, component: &str) -> Result<()> {
    if command::capture(command::cargo().args([subcommand, "--version"])).is_err() {
        bail!("cargo {subcommand} does not work here: run `rustup component add {component}`");
    }
    Ok(())
}
