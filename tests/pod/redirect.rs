//! The redirection of a pod with Kuma's sidecar, from within the pod.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use tcproute_tests::sidecar::{Backend, Families, Redirection, Version};

pub(crate) fn run() -> Result<()> {
    let redirection = Redirection::new(Backend::Nft, Families::V4, Version::V2_14);
    for (program, rules) in redirection.inputs() {
        let mut child = Command::new(&program)
            .arg("--wait")
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        child.stdin.take().context("it has no input")?.write_all(rules.as_bytes())?;
        let status = child.wait()?;
        ensure!(status.success(), "{program}: {status}");
    }
    Ok(())
}
