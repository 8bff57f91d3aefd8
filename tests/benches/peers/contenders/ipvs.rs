//! IPVS, where the kernel has it: a virtual service of the kernel's own.

use anyhow::{Context as _, Result};
use tcproute_tests::bench::{contenders::Installed, machine::version};

use tcproute_tests::bench::site::{Site, WEIGHTS};

/// In turns by weight, and by translation (`-m`), the only way to backends with a port of their own.
pub(super) fn install(site: &Site) -> Result<Installed> {
    let service = site.service.to_string();
    site.run("ipvsadm", &["-A", "-t", &service, "-s", "wrr"]).context("the kernel has no IPVS")?;
    for (backend, weight) in site.backends.into_iter().zip(WEIGHTS) {
        let (backend, weight) = (backend.to_string(), weight.to_string());
        site.run("ipvsadm", &["-a", "-t", &service, "-r", &backend, "-m", "-w", &weight])?;
    }
    // It says so only where the kernel has it.
    Ok(Installed::in_kernel(version("ipvsadm", "--version")?))
}
