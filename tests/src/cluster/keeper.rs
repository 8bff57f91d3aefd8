//! What a control plane leaves on this machine goes also when nobody drops it: the one that tests share, and all when
//! the process of the tests is killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::process::Process;

/// Waits for the end of its input, which is that of the process that has started it.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
cat > /dev/null
for file in "$1"/*.pid; do
    [ -e "$file" ] && kill -9 "$(cat "$file")"
done
rm -rf "$1"
"#;

/// A directory that goes when this is dropped or this process ends, and the processes in it before.
pub(super) struct Keeper {
    directory: PathBuf,
    shell: Child,
}

impl Keeper {
    pub(super) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("tcproute-cluster-").tempdir();
        let directory = directory.expect("a temporary directory can be made").keep();
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "keeper"]).arg(&directory);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let shell = shell.spawn().expect("sh can be started");
        Self { directory, shell }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts a process that ends with the directory.
    pub(super) fn spawn(&self, name: &str, command: &mut Command) -> Kept {
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let pid_file = self.directory.join(format!("{name}.pid"));
        let pid = child.id().to_string();
        let kept = Kept { process: Some(Process(child)), pid_file };
        fs::write(&kept.pid_file, pid).expect("a file can be written");
        kept
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A process that is killed when this is dropped, by SIGKILL: with a watch open a kube-apiserver takes minutes to stop.
pub struct Kept {
    process: Option<Process>,
    pid_file: PathBuf,
}

impl Kept {
    /// Whether it has, by itself.
    pub fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_none_or(Process::has_ended)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // In this order: its number may be another's once it has been waited for.
        let _ = fs::remove_file(&self.pid_file);
        drop(self.process.take());
    }
}
