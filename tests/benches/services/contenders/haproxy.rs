//! HAProxy in TCP mode: it listens where each service is dialled.

use std::{cmp::Reverse, fmt::Write as _, path::Path};

use anyhow::Result;
use tcproute_tests::bench::{machine::version, site::Site};

use super::{By, Prepared, Way, directory, write};
use crate::mesh::{SPLIT, Services, Weights, dialled, endpoints};

/// With a master, which a reload needs.
pub(super) fn prepare(site: &Site, services: Services) -> Result<Prepared> {
    let directory = directory()?;
    let [config, socket] = ["haproxy.cfg", "socket"].map(|name| directory.path().join(name));
    let others = sections(&socket, services);
    write(&config, &(others.clone() + &section(services.last(), SPLIT)))?;
    let mut command = site.namespace().command_in(&site.proxy, "setpriv");
    // It ends with this process.
    command.args(["--pdeathsig", "KILL", "haproxy", "-W", "-db", "-q", "-f"]).arg(&config);
    let last = services.last();
    let api = Way::usual(By::Socket(socket), move |weights| commands(last, weights));
    let reload = Way::reload(By::Signal(config), move |weights| others.clone() + &section(last, weights));
    Ok(Prepared {
        version: version("haproxy", "-v")?,
        command: Some(command),
        stays: true,
        is_tracked: false,
        ways: vec![api, reload],
        daemon: None,
        keep: Box::new(directory),
    })
}

/// All but that of the last service. Few connections are made at a time, and each would have its place from the start.
fn sections(socket: &Path, services: Services) -> String {
    let mut text = format!(
        "global\n maxconn 1000\n stats socket {} mode 600 level admin expose-fd listeners\n\
         defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n balance roundrobin\n",
        socket.display()
    );
    services.others().for_each(|service| text += &section(service, SPLIT));
    text
}

fn section(service: u32, weights: Weights) -> String {
    let mut text = format!("listen service-{service}\n bind {}\n", dialled(service));
    for (backend, weight) in (0..).zip(weights) {
        for (nth, endpoint) in endpoints(service, backend).enumerate() {
            let _ = writeln!(text, " server v{backend}-{nth} {endpoint} weight {weight}");
        }
    }
    text
}

/// Of the runtime API, in one line. Nobody is without a server meanwhile.
fn commands(service: u32, weights: Weights) -> String {
    let mut commands = Vec::new();
    let mut weights: Vec<(u32, u32)> = (0..).zip(weights).collect();
    weights.sort_by_key(|(_, weight)| Reverse(*weight));
    for (backend, weight) in weights {
        for (nth, _) in endpoints(service, backend).enumerate() {
            commands.push(format!("set weight service-{service}/v{backend}-{nth} {weight}"));
        }
    }
    commands.join(";") + "\n"
}
