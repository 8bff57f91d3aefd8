//! The node: a virtual machine.

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use tcproute_tests::cluster::{ControlPlane, Kept};

/// It is killed when this is dropped.
pub(crate) struct Machine(Kept);

impl Machine {
    /// Starts it. What it says goes to a file.
    pub(crate) fn boot(line: &[String], console: &Path, control_plane: &ControlPlane) -> Result<Self> {
        let [program, arguments @ ..] = line else { bail!("no machine is given") };
        let console = File::create(console).with_context(|| format!("cannot write {}", console.display()))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(console);
        Ok(Self(control_plane.spawn("machine", &mut command)))
    }

    /// Whether it is there no more.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.has_ended()
    }
}
