//! How a long run and its clients end: by their time, by Ctrl-C and SIGTERM, or when nobody listens to a client any
//! more.

use std::{
    io::{self, Read as _},
    process::ExitCode,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, ensure};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on. The second one ends this process at once.
pub fn watch() -> Result<()> {
    let interrupted = Arc::clone(INTERRUPTED.get_or_init(Arc::default));
    for signal in [SIGINT, SIGTERM] {
        // In this order: so it does nothing the first time.
        flag::register_conditional_shutdown(signal, 1, Arc::clone(&interrupted))
            .and_then(|_| flag::register(signal, Arc::clone(&interrupted)))
            .context("cannot handle signals")?;
    }
    Ok(())
}

/// Fails if the run is to end.
pub fn go_on() -> Result<()> {
    ensure!(!is_interrupted(), "interrupted");
    Ok(())
}

/// Becomes true when the standard input of this process is closed.
pub fn of_input() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        stopped.store(true, Ordering::Relaxed);
    });
    stop
}

/// How a run has ended, told as an error of the program of this name if it has failed.
pub fn ended(program: &str, result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether one has come.
pub fn is_interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|interrupted| interrupted.load(Ordering::Relaxed))
}
