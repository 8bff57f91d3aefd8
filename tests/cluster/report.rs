//! What is told of a run: as it goes on, at its end, and as a page.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::Value;
use tcproute_tests::load::Seen;

use crate::observed::{CLIENTS, DESTINATIONS, Expected, Observed};

pub(crate) struct Report {
    begin: Instant,
    marks: Vec<(&'static str, Duration)>,
    phases: Vec<Phase>,
    versions: Vec<(&'static str, String)>,
    host: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

struct Phase {
    name: &'static str,
    seen: Observed,
}

impl Report {
    pub(crate) fn begin() -> Self {
        Self {
            begin: Instant::now(),
            marks: Vec::new(),
            phases: Vec::new(),
            versions: Vec::new(),
            host: BTreeMap::new(),
            wrong: Vec::new(),
        }
    }

    /// Something has come so far.
    pub(crate) fn mark(&mut self, what: &'static str) {
        let after = self.begin.elapsed();
        eprintln!("{:>5.0} s  {what}", after.as_secs_f64());
        self.marks.push((what, after));
    }

    /// What the clients have seen meanwhile, and what they should have.
    pub(crate) fn phase(&mut self, name: &'static str, expected: Expected, seen: Observed) {
        self.mark(name);
        self.wrong.extend(seen.wrong(expected).into_iter().map(|what| format!("{name}: {what}")));
        self.phases.push(Phase { name, seen });
    }

    /// What is left of tcproute, which should be nothing.
    pub(crate) fn left_behind(&mut self, lines: &str) {
        self.wrong.extend(lines.lines().map(|line| format!("left behind: {line}")));
    }

    /// Who has answered a service of the host.
    pub(crate) fn host(&mut self, names: BTreeMap<String, u64>) {
        self.host = names;
    }

    /// Of a node, as the API server tells it.
    pub(crate) fn versions(&mut self, node: &str) -> Result<()> {
        let info = serde_json::from_str::<Value>(node)?["status"]["nodeInfo"].clone();
        let fields = [
            ("Kubernetes", "kubeletVersion"),
            ("Containers", "containerRuntimeVersion"),
            ("System", "osImage"),
            ("Kernel", "kernelVersion"),
        ];
        let tell =
            |(name, field): (&'static str, &str)| (name, info[field].as_str().unwrap_or_default().to_owned());
        self.versions = fields.into_iter().map(tell).collect();
        Ok(())
    }

    /// All that was not as it should have been.
    pub(crate) fn wrong(&self) -> &[String] {
        &self.wrong
    }

    /// docs/cluster.md
    pub(crate) fn page(&self) -> String {
        let mut page = PAGE.to_owned();
        for (name, version) in &self.versions {
            let _ = writeln!(page, "- {name}: {version}");
        }
        page += "\n## What the clients saw\n\n";
        page += &self.table(|cells| format!("| {} |", cells.join(" | ")), Some("---"));
        page += PHASES;
        for failure in self.failures() {
            let _ = writeln!(page, "- {failure}");
        }
        page += NOTHING_LEFT;
        page += HOST;
        for (name, count) in &self.host {
            let _ = writeln!(page, "- {name}: {count}");
        }
        page += MARKS;
        page += "\n| Seconds | |\n| --- | --- |\n";
        for (what, after) in &self.marks {
            let _ = writeln!(page, "| {:.0} | {what} |", after.as_secs_f64());
        }
        page
    }

    /// A line for each phase, client, destination and reason for which connections failed.
    fn failures(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Phase { name, seen } in &self.phases {
            for ((client, destination), Seen { failures, .. }) in &seen.0 {
                let line = |(failure, count)| format!("{name}, {client}, {destination}: {count} × {failure}");
                lines.extend(failures.iter().map(line));
            }
        }
        if lines.is_empty() {
            lines.push("nothing".to_owned());
        }
        lines
    }

    /// A line for each phase, client and destination; what names have answered makes the columns.
    fn table(&self, line: impl Fn(&[String]) -> String, rule: Option<&str>) -> String {
        let seen = || self.phases.iter().flat_map(|phase| phase.seen.0.values());
        let names: BTreeSet<&String> = seen().flat_map(|seen| seen.names.keys()).collect();
        let mut head: Vec<String> = ["While", "Client", "Dials"].map(str::to_owned).into();
        head.extend(names.iter().map(|name| (*name).clone()));
        head.push("failed".to_owned());
        let mut rows = vec![head.clone()];
        rows.extend(rule.map(|rule| vec![rule.to_owned(); head.len()]));
        for Phase { name, seen } in &self.phases {
            let mut name = *name;
            for (client, _) in CLIENTS {
                for destination in DESTINATIONS {
                    let Some(Seen { names: counts, failures, .. }) = seen.0.get(&(client, destination))
                    else {
                        continue;
                    };
                    let mut cells =
                        [std::mem::take(&mut name), client, destination].map(str::to_owned).to_vec();
                    let count = |name: &&String| counts.get(*name).map(u64::to_string).unwrap_or_default();
                    cells.extend(names.iter().map(count));
                    cells.push(failures.values().sum::<u64>().to_string());
                    rows.push(cells);
                }
            }
        }
        rows.iter().map(|cells| line(cells) + "\n").collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |cells: &[String]| {
            let [phase, client, destination, counts @ ..] = cells else { return String::new() };
            let counts: Vec<_> = counts.iter().map(|count| format!("{count:>8}")).collect();
            format!("{phase:<22} {client:<18} {destination:<7} {}", counts.concat())
        };
        f.write_str(&self.table(line, None))?;
        writeln!(f, "failed: {}", self.failures().join("; "))
    }
}

const PAGE: &str = "\
# In a cluster

Made by `cargo xtask cluster --record` from what was seen, not by hand.

The node is a virtual machine with Debian's kernel and root, containerd, kubelet and kube-proxy, emulated. Beside it are
kube-apiserver, etcd, the controllers and the scheduler. Kuma's kinds are there, and each pod has the Dataplane that
Kuma's control plane would write. tcproute is installed by `deploy/manifests/tcproute.yaml`, from the image that
`cargo xtask package` makes, and taken away as [Uninstall](guide/uninstall.md) says.

Two clients connect without an end: to a Service `server` with two versions, between which the cluster itself chooses
evenly, and to a Service `other`, which no MeshTCPRoute is about. One of the two has Kuma's redirection in its pod. What
it leads to answers `proxy`, so that is what went through the sidecar, and the rest is what went past it.

";

const PHASES: &str = "
Each count is of the connections from before something is done until well after. All of them show the dialled address
as their peer. When the node is started anew, the clients may be there before their servers: what fails then, also where
there is no route, fails for want of these. All that failed:

";

const NOTHING_LEFT: &str = "
In the end there is no pin, no program and no table of tcproute on the node.
";

const HOST: &str = "
## As a host

Then the node is a host without a cluster: Debian's package is installed, its unit started by systemd, reloaded, killed,
hung until the watchdog ends it, replaced by its own package, and removed, while a service connects. No connection
failed. These have answered it, `direct` before and after:

";

const MARKS: &str = "
## How long it took

Also while other things were done on this machine.
";
