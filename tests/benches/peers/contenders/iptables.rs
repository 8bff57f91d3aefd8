//! iptables, whichever it is here: a rule for each backend, all but the last of them by chance.

use anyhow::Result;
use tcproute_tests::bench::{contenders::Installed, machine::version};

use tcproute_tests::bench::site::{Site, WEIGHTS};

/// By the match `statistic`, as kube-proxy does it.
pub(super) fn install(site: &Site) -> Result<Installed> {
    let version = version("iptables", "--version")?;
    let [first, second] = site.backends.map(|backend| backend.to_string());
    let (service, port) = (site.service.ip().to_string(), site.service.port().to_string());
    let probability = (f64::from(WEIGHTS[0]) / 100.0).to_string();
    let matched = ["--wait", "-t", "nat", "-A", "OUTPUT", "-d", &service, "-p", "tcp", "--dport", &port];
    let by_chance = ["-m", "statistic", "--mode", "random", "--probability", &probability];
    site.run("iptables", &[&matched[..], &by_chance, &["-j", "DNAT", "--to-destination", &first]].concat())?;
    site.run("iptables", &[&matched[..], &["-j", "DNAT", "--to-destination", &second]].concat())?;
    Ok(Installed::in_kernel(version).tracked(site.namespace()))
}
