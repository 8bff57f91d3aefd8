//! Programs from crates.io that xtask calls: built once, each of one version, into `target/tools`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{command, workspace};

/// A program that any compiler of this workspace can build.
pub(crate) struct Tool {
    package: &'static str,
    program: &'static str,
    version: &'static str,
}

/// Judges dependencies: licences, sources, duplicates, advisories.
pub(crate) const CARGO_DENY: Tool = Tool { package: "cargo-deny", program: "cargo-deny", version: "0.20.2" };

/// Finds misspellings.
pub(crate) const TYPOS: Tool = Tool { package: "typos-cli", program: "typos", version: "1.52.0" };

impl Tool {
    /// Finds the program, here or on the search path, or builds it.
    pub(crate) fn provide(&self) -> Result<PathBuf> {
        let Self { package, program, version } = self;
        let here = path_of(program);
        let found = [here.clone()].into_iter().chain(command::find_all(program));
        if let Some(found) = found.into_iter().find(|path| self.is_right(path)) {
            return Ok(found);
        }
        eprintln!("building {package} {version} (once, about a minute)");
        // Without optimisation it is built in a fifth of the time, and fast enough.
        install(package, version, |install| {
            install.arg("--debug").env("CARGO_PROFILE_DEV_DEBUG", "0");
        })?;
        ensure!(self.is_right(&here), "the {program} just built is not of version {version}");
        Ok(here)
    }

    fn is_right(&self, path: &Path) -> bool {
        let answer = command::capture(Command::new(path).arg("--version"));
        answer.is_ok_and(|answer| answer.split_whitespace().last() == Some(self.version))
    }
}

/// Where [`install`] places a program.
pub(crate) fn path_of(program: &str) -> PathBuf {
    workspace::tools().join("bin").join(program)
}

/// Builds a package into [`workspace::tools`], with the versions of its own lock file.
pub(crate) fn install(package: &str, version: &str, configure: impl FnOnce(&mut Command)) -> Result<()> {
    let root = workspace::tools();
    let build = root.join("build");
    let mut install = command::cargo();
    install.args(["install", "--quiet", package, "--version", version, "--force"]);
    install.arg("--root").arg(&root).arg("--target-dir").arg(&build);
    configure(&mut install);
    let result = command::run(&mut install).with_context(|| format!("cannot build {package} {version}"));
    // Large, and of no further use.
    let _ = fs::remove_dir_all(build);
    result
}
