//! Whether sidecars can be got past on this kernel: by doing it in a network namespace of a thread's own.

use std::thread;

use nix::sched::{CloneFlags, unshare};

use super::{inside, settings::Mark};

/// Why they cannot, if so.
pub fn probe() -> Result<(), String> {
    let tried = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|error| format!("cannot make a network namespace: {error}"))?;
        inside::make(Mark::default())
    });
    tried.join().unwrap_or_else(|_| Err("it was given up".to_owned()))
}
