//! Running other programs: shown as they run, or silently for their answer.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// The cargo that runs this xtask, in the root of the workspace. It takes Cargo.lock as it is, or fails.
pub(crate) fn cargo() -> Command {
    cargo_at(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A particular cargo, likewise.
pub(crate) fn cargo_at(program: impl AsRef<OsStr>) -> Command {
    let mut cargo = beside_cargo(program);
    cargo.arg("--locked");
    cargo
}

/// A program that calls cargo or is called by it, in the root of the workspace.
pub(crate) fn beside_cargo(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root()).env("CARGO_TARGET_DIR", workspace::target());
    // What the outer cargo says about the package xtask must not reach the build scripts of other packages:
    // those that watch such a variable would run again at every build.
    for (name, _) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    command
}

/// Where the output of programs goes instead of to the user.
static LOG: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Sends the output of all programs that are run from now on to a file, or again to the user.
pub(crate) fn log_to(file: Option<&Path>) -> Result<()> {
    if let Some(file) = file {
        fs::write(file, "").with_context(|| format!("cannot write {}", file.display()))?;
    }
    *LOG.lock().unwrap_or_else(PoisonError::into_inner) = file.map(PathBuf::from);
    Ok(())
}

fn log() -> Result<Option<File>> {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    log.as_ref().map(|file| Ok(File::options().append(true).open(file)?)).transpose()
}

/// Runs a program whose output the user sees, or finds in the log.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    if let Some(log) = log()? {
        command.stdout(log.try_clone()?).stderr(log);
    }
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a program and returns what it writes to stdout; what it writes to stderr is shown only if it fails.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}): {}", shown(command), output.status, stderr.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} does not answer in UTF-8", shown(command)))
}

/// The first program of that name on the search path.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    find_all(name).next()
}

/// Every program of that name on the search path, in its order.
pub(crate) fn find_all(name: &str) -> impl Iterator<Item = PathBuf> {
    let directories: Vec<_> = env::var_os("PATH").iter().flat_map(env::split_paths).collect();
    directories.into_iter().map(move |directory| directory.join(name)).filter(|path| is_program(path))
}

/// Whether this is a file that can be run.
pub(crate) fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(OsStr::to_string_lossy));
    format!("`{}`", words.join(" "))
}
