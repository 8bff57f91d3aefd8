//! Ctrl-C ends the benchmark between two clients, by an error: so it cleans up.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{SigSet, Signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Catches SIGINT from now on. To be called before there are other threads; the programs started later
/// inherit that it is blocked, and end in good order.
pub(crate) fn watch() -> Result<()> {
    let mut interrupts = SigSet::empty();
    interrupts.add(Signal::SIGINT);
    interrupts.thread_block().context("cannot block SIGINT")?;
    thread::spawn(move || {
        while interrupts.wait().is_ok() {
            INTERRUPTED.store(true, Ordering::Relaxed);
        }
    });
    Ok(())
}

/// Fails after SIGINT.
pub(crate) fn check() -> Result<()> {
    ensure!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
    Ok(())
}
