//! `cargo xtask upgrade`: whether packages of this checkout replace those of an earlier version, and the other way
//! round, while connections are made.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::{
    checkout::{self, Checkout},
    command, package, workspace,
};

/// `cargo xtask upgrade`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The earlier version: a tag or any commit [default: the last version that is tagged]
    #[arg(long, value_name = "COMMIT")]
    from: Option<String>,
}

/// By this the tests are told of a binary of the earlier version.
const OLDER: &str = "TCPROUTE_OLDER_BIN";

/// Builds the earlier version if that was not done, and runs the tests.
pub(crate) fn run(options: &Options) -> Result<()> {
    let from = options.from.clone().or_else(checkout::last_tag);
    test(&from.context("no version is tagged yet: name a commit with --from")?)
}

/// As a step of the tests: from the last version. If there is none, says so.
pub(crate) fn step() -> Result<Option<String>> {
    match checkout::last_tag() {
        Some(tag) => test(&tag).map(|()| None),
        None => {
            Ok(Some("no version is tagged yet; `cargo xtask upgrade --from` takes any commit".to_owned()))
        }
    }
}

fn test(from: &str) -> Result<()> {
    package::for_this_machine()?;
    let older = older(from)?;
    let mut tests = command::cargo();
    tests.args(["test", "--package", "tcproute-tests", "--test", "packages", "--", "--show-output"]);
    package::tell(&mut tests).env(OLDER, older);
    command::run(&mut tests).with_context(|| format!("not upgraded from {from} and back"))
}

/// The binary of a commit, built as that commit builds it.
fn older(name: &str) -> Result<PathBuf> {
    let commit = checkout::commit_of(name)?;
    let directory = workspace::target().join("older");
    let binary = directory.join(format!("tcproute-{commit}"));
    if command::is_program(&binary) {
        return Ok(binary);
    }
    eprintln!("building {name} (once)");
    checkout::clear(&directory)?;
    let older = Checkout::of(&commit, directory.join("checkout"))?;
    command::run(older.cargo().args(["xtask", "build-ebpf"]))?;
    command::run(older.cargo().args(["build", "--locked", "--release", "--package", "tcproute-userspace"]))?;
    fs::rename(older.target().join("release/tcproute"), &binary)?;
    checkout::clear(&directory.join("checkout"))?;
    Ok(binary)
}
