//! kubectl, as people use it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// Longer than anything takes that is asked for.
const PATIENCE: &str = "600";

pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(crate) const fn new(program: PathBuf, kubeconfig: PathBuf) -> Self {
        Self { program, kubeconfig }
    }

    /// What it answers; if it fails, what it complains of.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        let output = self.output(arguments)?;
        if !output.status.success() {
            let shown: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
            bail!("kubectl {}: {}", shown.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).context("kubectl does not answer in UTF-8")
    }

    /// Words that are parted by spaces.
    pub(crate) fn say(&self, words: &str) -> Result<String> {
        self.run(&words.split(' ').collect::<Vec<_>>())
    }

    /// What is in a file.
    pub(crate) fn apply(&self, file: &Path) -> Result<()> {
        self.run(&[OsStr::new("apply"), OsStr::new("--filename"), file.as_os_str()]).map(drop)
    }

    /// Takes away what is in a file.
    pub(crate) fn delete(&self, file: &Path) -> Result<()> {
        self.run(&[OsStr::new("delete"), OsStr::new("--filename"), file.as_os_str()]).map(drop)
    }

    /// Runs a line of a shell on the node, and tells what it has printed.
    pub(crate) fn on_node(&self, line: &str) -> Result<String> {
        let enter = "exec --namespace kuma-system node -- nsenter --target 1 --all -- sh -c";
        let mut words: Vec<&str> = enter.split(' ').collect();
        words.push(line);
        self.run(&words)
    }

    fn output<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output> {
        let mut command = Command::new("timeout");
        command.arg(PATIENCE).arg(&self.program).arg("--kubeconfig").arg(&self.kubeconfig);
        command.args(arguments).stdin(Stdio::null()).output().context("cannot start kubectl")
    }
}
