//! nftables: the address of new connections is translated.

use std::{fmt::Write as _, fs};

use anyhow::{Context as _, Result};
use tcproute_tests::bench::{contenders::Installed, machine::version};

use tcproute_tests::bench::site::{Site, WEIGHTS};

/// A rule that takes the backend from a map by a random number.
pub(super) fn map(site: &Site) -> Result<Installed> {
    let (service, port) = (site.service.ip(), site.service.port());
    let mut elements = String::new();
    for ((from, to), backend) in ranges().into_iter().zip(site.backends) {
        let _ = write!(elements, "{from}-{to} : {} . {}, ", backend.ip(), backend.port());
    }
    let rule =
        format!("ip daddr {service} tcp dport {port} dnat ip to numgen random mod 100 map {{ {elements} }}");
    install(site, "", &rule)
}

/// As kube-proxy writes it: a map from services to chains, and in these one from random numbers to those of endpoints.
pub(super) fn verdict_map(site: &Site) -> Result<Installed> {
    let (service, port) = (site.service.ip(), site.service.port());
    let (mut chains, mut elements) = (String::new(), String::new());
    for (number, ((from, to), backend)) in ranges().into_iter().zip(site.backends).enumerate() {
        let _ = writeln!(chains, "chain endpoint-{number} {{\n meta l4proto tcp dnat ip to {backend}\n}}");
        let _ = write!(elements, "{from}-{to} : goto endpoint-{number}, ");
    }
    let more = format!(
        "map services {{\n type ipv4_addr . inet_service : verdict\n elements = {{ {service} . {port} : goto service }}\n}}\n\
         {chains}chain service {{\n numgen random mod 100 vmap {{ {elements} }}\n}}"
    );
    install(site, &more, "ip daddr . tcp dport vmap @services")
}

/// The numbers from 0 to 99, by weight.
fn ranges() -> [(u32, u32); 2] {
    let [first, second] = WEIGHTS;
    [(0, first - 1), (first, first + second - 1)]
}

fn install(site: &Site, more: &str, rule: &str) -> Result<Installed> {
    let version = version("nft", "--version")?;
    let table = format!(
        "table ip peers {{\n{more}\nchain output {{\n type nat hook output priority -100; policy accept;\n {rule}\n}}\n}}\n"
    );
    let file = tempfile::NamedTempFile::new().context("cannot make a file")?;
    fs::write(file.path(), table)?;
    let path = file.path().to_str().context("the path of temporary files is not UTF-8")?;
    site.run("nft", &["--file", path])?;
    Ok(Installed::in_kernel(version).tracked(site.namespace()))
}
