//! Spelling of everything that is written here, by `typos`; `_typos.toml` has what is spelt so on purpose.

use anyhow::{Context as _, Result};

use crate::{command, tools::TYPOS};

/// Why it is not checked, if it is not.
pub(crate) fn check() -> Result<Option<String>> {
    let typos = match TYPOS.provide() {
        Ok(typos) => typos,
        Err(error) => return Ok(Some(format!("{error:#}"))),
    };
    command::run(&mut command::beside_cargo(typos))
        .context("mend it, or say in _typos.toml why it is right")?;
    Ok(None)
}
