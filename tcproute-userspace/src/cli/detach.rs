//! `tcproute detach`: the end of all routes on this node.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use tracing::warn;

use super::{output, signals::Signals};
use crate::{
    bpf::{
        attached, pinned_namespaces,
        pins::{PinDirectory, Removed},
        requirements,
    },
    sidecar,
};

#[derive(Debug, Args)]
pub(super) struct Detach {
    /// Where bpffs is mounted.
    #[arg(long, default_value = "/sys/fs/bpf", value_name = "DIR")]
    bpffs: PathBuf,
    /// Then wait to be stopped, as what runs on each node of a cluster is to.
    #[arg(long)]
    stay: bool,
}

impl Detach {
    pub(super) async fn run(&self) -> Result<ExitCode> {
        // From the first: who stops it meanwhile must not end it in the middle.
        let signals = self.stay.then(Signals::listen).transpose()?;
        let code = self.detach()?;
        if let Some(mut signals) = signals
            && code == ExitCode::SUCCESS
        {
            signals.stop().await;
        }
        Ok(code)
    }

    fn detach(&self) -> Result<ExitCode> {
        requirements::check()?;
        let claimed = PinDirectory::claim_to_remove(&self.bpffs)?;
        let namespaces = claimed.as_ref().map_or_else(|| Ok(BTreeSet::new()), namespaces);
        let removed = claimed.map(PinDirectory::remove);
        let told = removed.as_ref().map_or_else(
            || "nothing is attached\n".to_owned(),
            |Removed { cgroups, .. }| {
                format!("detached from {} cgroups: connections go where they are dialled\n", cgroups.len())
            },
        );
        output::write(&told)?;
        tell_others();
        let mut failures = removed.map(|removed| removed.failures).unwrap_or_default();
        // No socket is marked any more.
        match namespaces.and_then(|namespaces| sidecar::remove_left_tables(&namespaces)) {
            Ok(0) => {}
            Ok(count) => {
                output::write(&format!("removed the table tcproute from {count} network namespaces\n"))?;
            }
            Err(error) => failures.push(error),
        }
        failures.iter().for_each(super::report);
        Ok(ExitCode::from(if failures.is_empty() { 0 } else { super::FAILED }))
    }
}

/// Those in which there may be a table of the daemon.
fn namespaces(pins: &PinDirectory) -> Result<BTreeSet<u64>> {
    Ok(pinned_namespaces(&pins.map("namespaces"))?.into_iter().collect())
}

/// What is attached and not pinned there is in others' hands.
fn tell_others() {
    match attached::links() {
        Ok(links) if links.is_empty() => {}
        Ok(links) => {
            let cgroups: Vec<String> = links.keys().map(ToString::to_string).collect();
            warn!(
                "programs of a tcproute are still attached to the cgroups with the numbers {}: they are pinned elsewhere (--bpffs), or end with \
                 the process that holds them, such as `tcproute exec`",
                cgroups.join(", ")
            );
        }
        Err(error) => warn!("cannot tell whether others have attached programs: {error:#}"),
    }
}
