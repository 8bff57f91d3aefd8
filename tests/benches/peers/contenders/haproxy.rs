//! HAProxy in TCP mode: it listens where clients dial.

use std::{fmt::Write as _, fs};

use anyhow::{Context as _, Result, ensure};
use tcproute_tests::{
    bench::{
        machine::version,
        site::{Site, WEIGHTS},
    },
    process::Process,
    wait_for,
};

use super::Installed;

/// With what it does by itself, and without a log.
pub(super) fn install(site: &Site) -> Result<Installed> {
    let version = version("haproxy", "-v")?;
    let mut config = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         listen service\n bind {}\n balance roundrobin\n",
        site.service
    );
    for (number, (backend, weight)) in site.backends.into_iter().zip(WEIGHTS).enumerate() {
        let _ = writeln!(config, " server backend-{number} {backend} weight {weight}");
    }
    let file = tempfile::NamedTempFile::new().context("cannot make a file")?;
    fs::write(file.path(), config)?;
    let mut command = site.namespace().command_in(&site.proxy, "setpriv");
    // It ends with this process.
    command.args(["--pdeathsig", "KILL", "haproxy", "-db", "-f"]).arg(file.path());
    let mut process = Process(command.spawn().context("cannot start sh")?);
    let mut answered = Ok(false);
    wait_for("HAProxy listens", || {
        answered = site.is_answered();
        process.has_ended() || !matches!(answered, Ok(false))
    });
    answered.context("HAProxy cannot be waited for")?;
    ensure!(!process.has_ended(), "HAProxy has ended");
    let pid = process.0.id();
    Ok(Installed { process: Some(pid), _keep: Box::new(process), ..Installed::in_kernel(version) })
}
