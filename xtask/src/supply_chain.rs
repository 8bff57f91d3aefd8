//! What dependencies are held to, by `cargo-deny`; `deny.toml` says to what.

use anyhow::Result;

use crate::{command, tools::CARGO_DENY};

/// Licences, duplicates and sources: all that asks nobody. Why it is not checked, if it is not.
pub(crate) fn check() -> Result<Option<String>> {
    deny(&["check", "licenses", "bans", "sources"])
}

/// Advisories of known faults, where their database can be had.
pub(crate) fn advisories() -> Result<Option<String>> {
    // What is there of it is brought up to date; an old one would tell less than it seems to.
    if let Ok(Some(why)) | Err(why) = deny(&["fetch", "db"]).map_err(|error| format!("{error:#}")) {
        return Ok(Some(format!("the database of advisories cannot be had: {why}")));
    }
    deny(&["--offline", "check", "advisories"])
}

fn deny(arguments: &[&str]) -> Result<Option<String>> {
    let program = match CARGO_DENY.provide() {
        Ok(program) => program,
        Err(error) => return Ok(Some(format!("{error:#}"))),
    };
    let mut deny = command::beside_cargo(program);
    // Nobody is there to be asked for a password.
    deny.env("GIT_TERMINAL_PROMPT", "0").args(["--locked", "--color", "never"]).args(arguments);
    command::run(&mut deny)?;
    Ok(None)
}
