//! How a benchmark beside peers is told who is absent, begins, and hands its figures over.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use serde_json::Value;

use crate::interrupt;

/// Who cannot be had, and why: its name or the beginning of it, `=`, and the reason.
pub fn absent(text: &str) -> Result<(String, String)> {
    let (name, why) = text.split_once('=').context("no =")?;
    Ok((name.to_owned(), why.to_owned()))
}

/// In a namespace of mounts of its own: what is mounted from here on vanishes with this process. Signals are watched.
pub fn begin() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a namespace")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("cannot make the mounts private")?;
    interrupt::watch()
}

/// Prints the tables. If there is to be a file it gets the figures as JSON, and one beside it the tables as Markdown.
pub fn hand_over(text: &str, path: Option<&Path>, json: impl FnOnce() -> Value) -> Result<()> {
    print!("{text}");
    let Some(path) = path else { return Ok(()) };
    let json = serde_json::to_string_pretty(&json())? + "\n";
    for (path, text) in [(path.to_owned(), &*json), (path.with_extension("md"), text)] {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("\nwritten to {}", path.display());
    }
    Ok(())
}
