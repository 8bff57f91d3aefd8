//! What the processors have worked for all of a contender: client, server, proxy, and the kernel on their behalf.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};

/// Until now, for a cgroup and those below it. The kernel tells it also where no controller is enabled.
pub fn of(cgroup: &Path) -> Result<Duration> {
    let path = cgroup.join("cpu.stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
    let micros = line.and_then(|micros| micros.parse().ok());
    Ok(Duration::from_micros(micros.with_context(|| format!("{} does not tell", path.display()))?))
}
