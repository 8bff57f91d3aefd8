//! nftables: one map from services to chains, as kube-proxy writes it, and two ways to choose in the chain of a
//! service.

use std::fmt::Write as _;

use anyhow::Result;
use tcproute_tests::bench::{machine::version, site::Site};

use super::{By, Prepared, Way, directory, text, write};
use crate::mesh::{SPLIT, Services, Weights, dialled, shares};

/// A rule for each endpoint, each by chance but the last.
pub(super) fn verdict_map(site: &Site, services: Services) -> Result<Prepared> {
    prepare(site, services, by_rules)
}

/// An anonymous map for each service, which is what the kernel takes long to make.
pub(super) fn anonymous_maps(site: &Site, services: Services) -> Result<Prepared> {
    prepare(site, services, by_map)
}

fn by_rules(service: u32, weights: Weights) -> Vec<String> {
    let rule = |share: crate::mesh::Share| {
        let chance = (share.left > share.percent)
            .then(|| format!("numgen random mod {} < {} ", share.left, share.percent));
        format!("{}meta l4proto tcp dnat to {}", chance.unwrap_or_default(), share.endpoint)
    };
    shares(service, weights).into_iter().map(rule).collect()
}

fn by_map(service: u32, weights: Weights) -> Vec<String> {
    let mut elements = String::new();
    for share in shares(service, weights) {
        let from = 100 - share.left;
        let (to, ip, port) = (from + share.percent - 1, share.endpoint.ip(), share.endpoint.port());
        let _ = write!(elements, "{from}-{to} : {ip} . {port}, ");
    }
    vec![format!("meta l4proto tcp dnat ip to numgen random mod 100 map {{ {elements} }}")]
}

fn prepare(site: &Site, services: Services, rules: fn(u32, Weights) -> Vec<String>) -> Result<Prepared> {
    let mut table =
        String::from("table ip services {\nmap services {\n type ipv4_addr . inet_service : verdict\n}\n");
    let mut elements = String::new();
    for service in services.all() {
        let rules = rules(service, SPLIT).join("\n ");
        let _ = writeln!(table, "chain service-{service} {{\n {rules}\n}}");
        let (ip, port) = (*dialled(service).ip(), dialled(service).port());
        let _ = write!(elements, "{ip} . {port} : goto service-{service}, ");
    }
    let _ = writeln!(
        table,
        "chain output {{\n type nat hook output priority -100; policy accept;\n ip daddr . tcp dport vmap @services\n}}\n}}\n\
         add element ip services services {{ {elements} }}"
    );
    let directory = directory()?;
    let [all, change] = ["all.nft", "change.nft"].map(|name| directory.path().join(name));
    write(&all, &table)?;
    let nft = |file: &str| ["nft", "-f", file].map(str::to_owned).to_vec();
    let mut command = site.namespace().command("nft");
    command.arg("-f").arg(&all);
    let by = By::Command(change.clone(), nft(&text(&change)?));
    // In one transaction.
    let changed = move |weights| {
        let chain = format!("ip services service-{}", services.last());
        let mut text = format!("flush chain {chain}\n");
        for rule in rules(services.last(), weights) {
            let _ = writeln!(text, "add rule {chain} {rule}");
        }
        text
    };
    Ok(Prepared {
        version: version("nft", "--version")?,
        command: Some(command),
        stays: false,
        is_tracked: true,
        ways: vec![Way::usual(by, changed)],
        daemon: None,
        keep: Box::new(directory),
    })
}
