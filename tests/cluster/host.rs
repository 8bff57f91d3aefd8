//! The same machine as a host without a cluster: the package of Debian, its unit under a real systemd, and a service
//! whose connections are led, from the installation to the removal.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use tcproute_tests::load::Seen;

use crate::{observed::is_explained, report::Report, site::Site};

/// By which it is seen that something goes on as before.
const SOME: u64 = 100;

/// Three servers, of which one is where the frontend dials, and the frontend. Its cgroup is that of its unit.
const SERVICES: &str = "
for server in v1:3001 v2:3002 direct:10001; do
    systemd-run --quiet --collect --unit ${server%:*} pod serve --name ${server%:*} --port ${server#*:}
done
systemd-run --quiet --collect --unit frontend pod connect --to server=127.0.0.1:10001";

const INSTALL: &str = "DEBIAN_FRONTEND=noninteractive dpkg --install /var/lib/packages/tcproute_*.deb";

const CONFIGURE: &str = "
mkdir /etc/tcproute/mesh
cat > /etc/tcproute/mesh/mesh.yaml << 'END'
type: Dataplane
mesh: default
name: frontend
networking:
  address: 127.0.0.1
  inbound: [{port: 80, tags: {kuma.io/service: frontend, kuma.io/protocol: tcp}}]
  outbound: [{address: 127.0.0.1, port: 10001, tags: {kuma.io/service: server}}]
---
type: Dataplane
mesh: default
name: server-1
networking:
  address: 127.0.0.1
  inbound: [{port: 3001, tags: {kuma.io/service: server, kuma.io/protocol: tcp, version: v1}}]
---
type: Dataplane
mesh: default
name: server-2
networking:
  address: 127.0.0.1
  inbound: [{port: 3002, tags: {kuma.io/service: server, kuma.io/protocol: tcp, version: v2}}]
---
type: MeshTCPRoute
mesh: default
name: canary
spec:
  targetRef: {kind: MeshService, name: frontend}
  to:
    - targetRef: {kind: MeshService, name: server}
      rules:
        - default:
            backendRefs:
              - {kind: MeshServiceSubset, name: server, tags: {version: v1}, weight: 90}
              - {kind: MeshServiceSubset, name: server, tags: {version: v2}, weight: 10}
END
cat > /etc/tcproute/config.yaml << 'END'
resources: [/etc/tcproute/mesh]
workload: {frontend: /system.slice/frontend.service}
END
tcproute config --changed";

/// A line for whatever is left.
const LEFT: &str = "ls -d /sys/fs/bpf/tcproute /usr/bin/tcproute 2> /dev/null; pgrep -x tcproute; true";

pub(crate) fn run(site: &Site, report: &mut Report) -> Result<()> {
    let on = |line: &str| site.kubectl.on_node(line);
    on(SERVICES)?;
    let before = seen(site)?;
    on(INSTALL)?;
    on(CONFIGURE)?;
    // It answers when the routes are in force.
    on("systemctl start tcproute")?;
    report.mark("the unit of the package runs");
    let routed = seen(site)?;
    more(site, &routed)?;

    on("systemctl reload tcproute")?;
    ensure!(property(site, "ActiveState")? == "active", "a reload has ended it");
    report.mark("reloaded");

    let killed = pid(site)?;
    on(&format!("kill -KILL {killed}"))?;
    started_anew(site, killed)?;
    report.mark("killed, and started anew");

    // It tells the watchdog nothing any more.
    let stopped = pid(site)?;
    on(&format!("kill -STOP {stopped}"))?;
    started_anew(site, stopped)?;
    report.mark("stopped, and ended and started anew by the watchdog");

    let replaced = pid(site)?;
    on(INSTALL)?;
    started_anew(site, replaced)?;
    report.mark("its package replaced");

    let after = more(site, &routed)?;
    ensure!(
        is_explained(&after, &[("v1", 0.9), ("v2", 0.1)]),
        "not all was led as the route has it: {after:?}"
    );
    on("dpkg --remove tcproute")?;
    let left = on(LEFT)?;
    ensure!(left.is_empty(), "left behind: {left}");
    let removed = seen(site)?;
    let after = more(site, &removed)?;
    ensure!(after.keys().eq(["direct"]), "not all goes where it is dialled: {after:?}");
    report.mark("its package removed");

    let all = seen(site)?;
    ensure!(all.failures == before.failures, "connections failed: {:?}", all.failures);
    ensure!(all.other_peers.is_empty(), "connections show other peers: {:?}", all.other_peers);
    report.host(all.names);
    Ok(())
}

/// What the frontend has seen until now. The last that it has told may be of before what was done last.
fn seen(site: &Site) -> Result<Seen> {
    let told = || site.kubectl.on_node("journalctl --unit frontend --output cat --lines 1");
    let earlier = told()?;
    let mut seen = None;
    site.until("the frontend connects", || {
        let line = told()?;
        if line != earlier {
            let mut all: BTreeMap<String, Seen> =
                serde_json::from_str(line.trim()).with_context(|| format!("the frontend says {line:?}"))?;
            seen = all.remove("server");
        }
        Ok(seen.is_some())
    })?;
    seen.context("it was waited for")
}

/// Who has answered since, when these were some.
fn more(site: &Site, earlier: &Seen) -> Result<BTreeMap<String, u64>> {
    let mut names = BTreeMap::new();
    site.until("more connections", || {
        names = seen(site)?.names;
        for (name, count) in &mut names {
            *count -= earlier.names.get(name).unwrap_or(&0);
        }
        names.retain(|_, count| *count > 0);
        Ok(names.values().sum::<u64>() >= SOME)
    })?;
    Ok(names)
}

/// Waits until another process is the daemon, and its routes are in force.
fn started_anew(site: &Site, before: u32) -> Result<()> {
    site.until("the unit is started anew", || {
        let now = pid(site)?;
        Ok(now != 0 && now != before && property(site, "ActiveState")? == "active")
    })?;
    site.kubectl.on_node("tcproute status --ready").map(drop)
}

fn pid(site: &Site) -> Result<u32> {
    Ok(property(site, "MainPID")?.parse()?)
}

fn property(site: &Site, name: &str) -> Result<String> {
    let line = format!("systemctl show --property {name} --value tcproute");
    Ok(site.kubectl.on_node(&line)?.trim().to_owned())
}
