//! What one run of each program costs, by the kernel's accounting.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail};
use aya::sys::{Stats, enable_stats};
use serde_json::Value;

use crate::{client::Client, site::Site};

/// Nanoseconds per run in one round, the cost of measuring included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Costs {
    /// tcproute's connect4 where a route matches.
    pub(crate) routed: f64,
    /// Where none does.
    pub(crate) not_routed: f64,
    /// tcproute's getpeername4 on a routed connection.
    pub(crate) getpeername: f64,
    /// tcproute's `sock_release` of a routed connection.
    pub(crate) release: f64,
    /// The other balancer's connect4.
    pub(crate) balancer: f64,
    /// The empty program: the cost of measuring.
    pub(crate) empty: f64,
}

/// What the kernel has counted of a program.
#[derive(Debug, Clone, Copy, Default)]
struct Runs {
    time: Duration,
    count: u64,
}

/// One round. The accounting ends with it, even if this process is killed.
pub(crate) fn measure(site: &Site, connections: u32) -> Result<Costs> {
    let _accounting = enable_stats(Stats::RunTime).context("cannot switch the accounting of BPF on")?;
    let mut empty = Runs::default();
    let mut phases = Vec::new();
    for contender in site.with_programs() {
        let client = Client { cgroup: contender.cgroup, address: contender.dials };
        let programs = attached(contender.cgroup.path())?;
        let before = read(&programs)?;
        client.run(connections, true)?;
        let mut runs = read(&programs)?;
        for (name, runs) in &mut runs {
            runs.time -= before[name].time;
            runs.count -= before[name].count;
        }
        if let Some(phase) = runs.get("lb_empty") {
            empty.time += phase.time;
            empty.count += phase.count;
        }
        phases.push(runs);
    }
    let cost = |phase: usize, name: &str| -> Result<f64> {
        let runs = phases[phase].get(name).with_context(|| format!("no program {name} is attached"))?;
        runs.cost().with_context(|| format!("the program {name}"))
    };
    Ok(Costs {
        routed: cost(0, "connect4")?,
        not_routed: cost(1, "connect4")?,
        getpeername: cost(0, "getpeername4")?,
        release: cost(0, "sock_release")?,
        balancer: cost(2, "lb_connect4")?,
        empty: empty.cost().context("the program lb_empty")?,
    })
}

impl Runs {
    /// Nanoseconds per run.
    fn cost(self) -> Result<f64> {
        if self.count == 0 {
            bail!("has not run");
        }
        Ok(self.time.as_secs_f64() * 1e9 / f64::from(u32::try_from(self.count)?))
    }
}

/// The programs of a cgroup: their numbers by name.
fn attached(cgroup: &Path) -> Result<BTreeMap<String, u64>> {
    let cgroup = cgroup.to_str().context("the path of the cgroup is not UTF-8")?;
    let listing = bpftool(&["cgroup", "show", cgroup])?;
    let programs = listing.as_array().context("bpftool lists no programs")?;
    let pairs =
        programs.iter().map(|program| Some((program["name"].as_str()?.to_owned(), program["id"].as_u64()?)));
    pairs.collect::<Option<_>>().context("bpftool lists a program without name or id")
}

fn read(programs: &BTreeMap<String, u64>) -> Result<BTreeMap<String, Runs>> {
    let runs = |(name, id): (&String, &u64)| {
        let program = bpftool(&["prog", "show", "id", &id.to_string()])?;
        // bpftool leaves out what is 0.
        let number = |field: &str| program[field].as_u64().unwrap_or(0);
        Ok((
            name.clone(),
            Runs { time: Duration::from_nanos(number("run_time_ns")), count: number("run_cnt") },
        ))
    };
    programs.iter().map(runs).collect()
}

fn bpftool(arguments: &[&str]) -> Result<Value> {
    let shown = || format!("`bpftool {}`", arguments.join(" "));
    let output = Command::new("bpftool")
        .arg("-j")
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {}", shown()))?;
    if !output.status.success() {
        bail!("{} failed: {}", shown(), String::from_utf8_lossy(&output.stdout).trim());
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{} does not answer in JSON", shown()))
}
