//! What one run of each program costs, by the kernel's accounting.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use aya::sys::{Stats, enable_stats};
use serde_json::Value;

use crate::{
    client::{self, Dialling, Then},
    pods::Pods,
    site::{Contender, Site},
};

/// Nanoseconds per run in one round, the cost of measuring included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Costs {
    /// tcproute's connect4 where a route matches.
    pub(crate) routed: f64,
    /// Where none does.
    pub(crate) not_routed: f64,
    /// Both with `--sidecar off`.
    pub(crate) off: [f64; 2],
    /// tcproute's getpeername4 on a routed connection.
    pub(crate) getpeername: f64,
    /// tcproute's `sock_release` of a routed connection.
    pub(crate) release: f64,
    /// The other balancer's connect4.
    pub(crate) balancer: f64,
    /// The empty program: the cost of measuring.
    pub(crate) empty: f64,
    /// Without a sidecar and beside one, if there are pods.
    pub(crate) pods: Option<[PodCosts; 2]>,
}

/// The same of a routed connection in a pod.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PodCosts {
    /// tcproute's connect4.
    pub(crate) connect: f64,
    /// All runs of its `sock_ops` for one connection,
    pub(crate) sock_ops: f64,
    /// which are so many.
    pub(crate) sock_ops_runs: f64,
}

/// What the kernel has counted of a program.
#[derive(Debug, Clone, Copy, Default)]
struct Runs {
    time: Duration,
    count: u64,
}

/// What it has counted of each while a contender ran.
struct Phase {
    runs: BTreeMap<String, Runs>,
    connections: u32,
}

/// One round. The accounting ends with it, even if this process is killed.
pub(crate) fn measure(site: &Site, pods: Option<&Pods>, dialling: Dialling) -> Result<Costs> {
    let _accounting = enable_stats(Stats::RunTime).context("cannot switch the accounting of BPF on")?;
    let of_site = site.with_programs();
    let [routed, not_routed, balancer, off, off_not_routed] =
        each(&of_site, |contender| Phase::of(contender, dialling, Then::Getpeername))?;
    let mut empty = Runs::default();
    for phase in [&routed, &not_routed, &balancer, &off, &off_not_routed] {
        let runs = phase.runs("lb_empty")?;
        empty.time += runs.time;
        empty.count += runs.count;
    }
    let in_pod = |contender: &Contender<'_>| PodCosts::of(&Phase::of(contender, dialling, Then::Read)?);
    Ok(Costs {
        routed: routed.cost("connect4")?,
        not_routed: not_routed.cost("connect4")?,
        off: each(&[off, off_not_routed], |phase| phase.cost("connect4"))?,
        getpeername: routed.cost("getpeername4")?,
        release: routed.cost("sock_release")?,
        balancer: balancer.cost("lb_connect4")?,
        empty: empty.cost().context("the program lb_empty")?,
        pods: pods.map(|pods| each(&pods.with_programs(), in_pod)).transpose()?,
    })
}

fn each<T, U, const N: usize>(all: &[T; N], of: impl Fn(&T) -> Result<U>) -> Result<[U; N]> {
    let found = all.iter().map(of).collect::<Result<Vec<U>>>()?;
    found.try_into().map_err(|_| anyhow!("not as many as there were"))
}

impl Phase {
    fn of(contender: &Contender<'_>, dialling: Dialling, then: Then) -> Result<Self> {
        let programs = attached(contender.cgroup.path())?;
        let before = read(&programs)?;
        client::run(contender, dialling, then)?;
        let mut runs = read(&programs)?;
        for (name, runs) in &mut runs {
            runs.time -= before[name].time;
            runs.count -= before[name].count;
        }
        Ok(Self { runs, connections: client::all_of(dialling.connections) })
    }

    fn runs(&self, name: &str) -> Result<Runs> {
        self.runs.get(name).copied().with_context(|| format!("no program {name} is attached"))
    }

    fn cost(&self, name: &str) -> Result<f64> {
        self.runs(name)?.cost().with_context(|| format!("the program {name}"))
    }
}

impl PodCosts {
    fn of(phase: &Phase) -> Result<Self> {
        let runs = f64::from(u32::try_from(phase.runs("sock_ops")?.count)?) / f64::from(phase.connections);
        let sock_ops = phase.cost("sock_ops")? * runs;
        Ok(Self { connect: phase.cost("connect4")?, sock_ops, sock_ops_runs: runs })
    }
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
