//! iptables, whichever it is here: a chain for each service, to which one rule after the other leads, and in it a rule
//! for each endpoint, by chance.

use std::fmt::Write as _;

use anyhow::Result;
use tcproute_tests::bench::{machine::version, site::Site};

use super::{By, Prepared, Way, directory, text, write};
use crate::mesh::{SPLIT, Services, Weights, dialled, shares};

/// As kube-proxy does it, by iptables-restore.
pub(super) fn prepare(site: &Site, services: Services) -> Result<Prepared> {
    let mut table = String::from("*nat\n");
    for service in services.all() {
        let _ = writeln!(table, ":SERVICE-{service} - [0:0]");
    }
    for service in services.all() {
        let (ip, port) = (*dialled(service).ip(), dialled(service).port());
        let _ = writeln!(table, "-A OUTPUT -d {ip} -p tcp --dport {port} -j SERVICE-{service}");
    }
    services.all().for_each(|service| table += &rules(service, SPLIT));
    table += "COMMIT\n";
    let directory = directory()?;
    let [all, change] = ["all", "change"].map(|name| directory.path().join(name));
    write(&all, &table)?;
    let mut command = site.namespace().command("iptables-restore");
    command.arg(&all);
    let restore = ["iptables-restore", "--noflush", &text(&change)?].map(str::to_owned).to_vec();
    // The chain is flushed where it is declared.
    let changed = move |weights| {
        let last = services.last();
        format!("*nat\n:SERVICE-{last} - [0:0]\n{}COMMIT\n", rules(last, weights))
    };
    Ok(Prepared {
        version: version("iptables", "--version")?,
        command: Some(command),
        stays: false,
        is_tracked: true,
        ways: vec![Way::usual(By::Command(change, restore), changed)],
        daemon: None,
        keep: Box::new(directory),
    })
}

fn rules(service: u32, weights: Weights) -> String {
    let mut text = String::new();
    for share in shares(service, weights) {
        let _ = write!(text, "-A SERVICE-{service} -p tcp ");
        if share.left > share.percent {
            let chance = f64::from(share.percent) / f64::from(share.left);
            let _ = write!(text, "-m statistic --mode random --probability {chance:.10} ");
        }
        let _ = writeln!(text, "-j DNAT --to-destination {}", share.endpoint);
    }
    text
}
