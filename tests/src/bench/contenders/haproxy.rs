//! HAProxy in TCP mode: it listens where clients dial.

use std::{fmt::Write as _, fs};

use anyhow::{Context as _, Result, ensure};

use super::{Installed, Way};
use crate::{bench::machine::version, process::Process, wait_for};

/// With what it does by itself, and without a log.
pub fn install(way: &Way) -> Result<Installed> {
    let version = version("haproxy", "-v")?;
    let mut config = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         listen service\n bind {}\n balance roundrobin\n",
        way.service
    );
    for (number, (backend, weight)) in way.backends.into_iter().enumerate() {
        let _ = writeln!(config, " server backend-{number} {backend} weight {weight}");
    }
    let file = tempfile::NamedTempFile::new().context("cannot make a file")?;
    fs::write(file.path(), config)?;
    let mut command = way.namespace.command_in(way.proxy, "setpriv");
    // It ends with this process.
    command.args(["--pdeathsig", "KILL", "haproxy", "-db", "-f"]).arg(file.path());
    let mut process = Process(command.spawn().context("cannot start sh")?);
    wait_for("HAProxy listens", || process.has_ended() || way.namespace.is_answered(way.service.into()));
    ensure!(!process.has_ended(), "HAProxy has ended");
    let pid = process.0.id();
    Ok(Installed { process: Some(pid), keep: Box::new(process), ..Installed::in_kernel(version) })
}
