//! The commit of the checkout: what builds say they are of, and the time that packages have.

use std::{fmt, process::Command};

use crate::{command, workspace};

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Twelve digits.
    id: String,
    /// Whether files that git has are as committed.
    clean: bool,
    /// Seconds since 1970.
    pub(crate) time: u64,
}

impl Commit {
    /// None if this is not a checkout of git.
    pub(crate) fn of_checkout() -> Option<Self> {
        let shown = git(&["show", "--no-patch", "--abbrev=12", "--format=%h %ct", "HEAD"])?;
        let (id, time) = shown.trim().split_once(' ')?;
        let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
        Some(Self { id: id.to_owned(), clean: changed.trim().is_empty(), time: time.parse().ok()? })
    }

    pub(crate) const fn is_clean(&self) -> bool {
        self.clean
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    command::capture(Command::new("git").args(arguments).current_dir(workspace::root())).ok()
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.id, if self.clean { "" } else { "-dirty" })
    }
}
