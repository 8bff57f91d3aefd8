//! Another checkout of this repository, in which its own xtask is run.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{command, workspace};

/// Its target directory is its own; the tools that xtask builds are those of this one.
pub(crate) struct Checkout {
    root: PathBuf,
}

impl Checkout {
    /// Of a commit, in a directory that is not there yet.
    pub(crate) fn of(commit: &str, root: PathBuf) -> Result<Self> {
        let mut clone = Command::new("git");
        clone.args(["clone", "--quiet", "--local", "--no-checkout"]).arg(workspace::root()).arg(&root);
        command::run(&mut clone).context("this is no checkout of git")?;
        let mut checkout = Command::new("git");
        checkout.args(["checkout", "--quiet", "--detach", commit]).current_dir(&root);
        command::run(&mut checkout).with_context(|| format!("there is no {commit}"))?;
        let target = root.join("target");
        fs::create_dir_all(&target)?;
        symlink(workspace::tools(), target.join("tools"))?;
        Ok(Self { root })
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// cargo in it, as if a user called it.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.root);
        // What cargo has told this xtask of itself.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_")) {
            if name != "CARGO_HOME" {
                cargo.env_remove(name);
            }
        }
        cargo.env("CARGO_TARGET_DIR", self.target());
        cargo
    }
}

/// The commit that a name stands for.
pub(crate) fn commit_of(name: &str) -> Result<String> {
    let mut parse = Command::new("git");
    parse.args(["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")]);
    let commit = command::capture(parse.current_dir(workspace::root()));
    Ok(commit.with_context(|| format!("there is no commit {name}"))?.trim().to_owned())
}

/// The last version that is tagged, before what is checked out.
pub(crate) fn last_tag() -> Option<String> {
    let mut describe = Command::new("git");
    describe.args(["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD"]);
    let tag = command::capture(describe.current_dir(workspace::root())).ok()?;
    Some(tag.trim().to_owned())
}

/// Removes a directory if it is there.
pub(crate) fn clear(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}
