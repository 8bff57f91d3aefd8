//! The agent: routes in force in the kernel, kept in step with what they are made from.
//!
//! - `resolved`: from resources and DNS answers to routes, and what a change of them touches.
//! - `follow`: the tasks that watch files and DNS.
//! - `outcomes`: what the kernel has counted.
//! - `reconcile`: the loop that takes what they find and puts it in force.
//! - `state`: what others may know of it.
//! - `trace`: events of the programs for those who listen.

mod follow;
mod outcomes;
mod reconcile;
mod reconciles;
mod resolved;
mod state;
mod trace;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tcproute_common::RouteKey;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    bpf::{Datapath, Options, cgroup::Cgroup, pins::PinDirectory, requirements::Features},
    outcomes::WorkloadOutcomes,
    plan::{self, Layout, Limits, Selection, Table, WorkloadId},
    resources::MeshName,
    routing,
};

pub use reconciles::{Outcome, Reconciles};
pub use resolved::Resolved;
pub use state::{Desk, Failure, Handle, Reconcile, State, WorkloadState, desk};

/// What does not change while the agent runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The mesh of the local Dataplanes.
    pub mesh: MeshName,
    /// How routes are resolved.
    pub routing: routing::Options,
    /// How often the DNS names of ExternalServices are looked up again.
    pub dns_interval: Duration,
    /// Whether to log each decision of the programs.
    pub log_decisions: bool,
    /// How connections are given to backends.
    pub selection: Selection,
}

/// Runs that no route leads to any more, and since when.
struct Retired {
    since: Instant,
    runs: plan::Retired,
}

/// Longer than any program can still be reading a run: they run with preemption by RCU and for microseconds.
const GRACE: Duration = Duration::from_secs(1);

/// Loads the programs, and tells where in the maps everything is.
fn load<'a>(options: &Options<'a>) -> Result<(Datapath<'a>, Layout)> {
    let datapath = Datapath::load(options)?;
    let limits = datapath.limits();
    match datapath.contents()?.map(|contents| Layout::adopt(limits, &contents)) {
        None => Ok((datapath, Layout::new(limits))),
        Some(Ok(layout)) => {
            info!("going on with the routes of an earlier daemon");
            Ok((datapath, layout))
        }
        Some(Err(inconsistent)) => {
            warn!("{inconsistent}: new ones are made");
            drop(datapath);
            let datapath = Datapath::load(&Options { reuse_tables: false, ..*options })?;
            let layout = Layout::new(datapath.limits());
            Ok((datapath, layout))
        }
    }
}

/// Routes in force in the kernel.
pub struct Agent<'a> {
    resolved: Resolved,
    datapath: Datapath<'a>,
    layout: Layout,
    retired: Vec<Retired>,
    /// Since when the weights of each route are what they are.
    splits: BTreeMap<RouteKey, outcomes::Since>,
    /// While somebody listens.
    tracing: Option<trace::Tracing>,
    /// Whether the kernel holds what was resolved.
    in_step: bool,
    /// As it is told to others.
    state: State,
    desk: Desk,
}

impl<'a> Agent<'a> {
    /// Puts the routes in force: loads the programs, fills the maps and attaches each workload to the cgroup at the same
    /// place in `cgroups`.
    ///
    /// With `pins` it goes on from what an earlier daemon has left there, and what it does outlives this process. Each
    /// connection meanwhile goes by the routes before or by the new ones.
    pub fn start(
        mut resolved: Resolved,
        pins: Option<&'a PinDirectory>,
        cgroups: &[&Cgroup],
        desk: Desk,
    ) -> Result<Self> {
        let size = resolved.table().size();
        let limits = Limits::with_room_for(size)?;
        if size.outcomes >= limits.outcomes as usize {
            warn!("what becomes of connections is counted for {} backendRefs only", limits.outcomes - 1);
        }
        let features = Features::probe().context("cannot probe the kernel's features")?;
        if features.socket_error_offset.is_none() {
            warn!("this kernel has no BTF: why connections fail is not told apart");
        }
        let log_decisions = resolved.settings.log_decisions;
        let options = Options { limits, features, log_decisions, pins, reuse_tables: true };
        let (mut datapath, layout) = load(&options)?;
        let known: Vec<Option<WorkloadId>> = cgroups.iter().map(|cgroup| datapath.adopt(cgroup)).collect();
        for (workload, id) in resolved.workloads.iter_mut().zip(WorkloadId::assign(&known)) {
            workload.id = id;
        }
        // Before their numbers are given to others.
        datapath.detach_others(cgroups)?;
        let state = State { features: Some(features), ..State::default() };
        let mut agent = Self {
            resolved,
            datapath,
            layout,
            retired: Vec::new(),
            splits: BTreeMap::new(),
            tracing: None,
            in_step: false,
            state,
            desk,
        };
        agent.put_in_force(&agent.resolved.table())?;
        for (index, cgroup) in cgroups.iter().enumerate() {
            agent.attach(index, cgroup)?;
        }
        agent.datapath.commit()?;
        agent.in_step = true;
        agent.warn();
        Ok(agent)
    }

    /// Attaches the `index`-th Dataplane's routes to a cgroup.
    fn attach(&mut self, index: usize, cgroup: &Cgroup) -> Result<()> {
        let workload = &self.resolved.workloads[index];
        self.datapath.attach(cgroup, workload.id)?;
        info!(
            dataplane = workload.routes.dataplane,
            cgroup = %cgroup.path().display(),
            routes = workload.routes.routes.len(),
            "attached"
        );
        self.state.workloads.push(WorkloadState {
            cgroup: cgroup.path().to_path_buf(),
            id: cgroup.id(),
            routes: Arc::clone(&workload.routes),
        });
        Ok(())
    }

    /// Makes the kernel hold this table, or leaves it as it is. How many of its routes have changed.
    fn put_in_force(&mut self, table: &Table) -> Result<usize> {
        let layout = &mut self.layout;
        self.retired.retain(|retired| {
            let wait = retired.since.elapsed() < GRACE;
            if !wait {
                layout.reuse(&retired.runs);
            }
            wait
        });
        if let Err(error) = self.reuse_drained() {
            warn!("cannot count for other backendRefs what counted for those that have left: {error:#}");
        }
        let (next, change) = self.layout.plan(table)?;
        for workload in &self.resolved.workloads {
            self.datapath.extend_filter(table, workload.id)?;
        }
        self.datapath.apply(&change)?;
        self.layout = next;
        let changed = change.routes.len();
        if let Err(error) = self.note_splits() {
            warn!("cannot tell how connections are split: {error:#}");
        }
        if changed > 0 {
            self.retired.push(Retired { since: Instant::now(), runs: change.retired });
        }
        Ok(changed)
    }

    /// Says each warning when it comes up.
    fn warn(&mut self) {
        let warnings = self.resolved.warnings();
        for warning in &warnings {
            if self.state.warnings.binary_search(warning).is_err() {
                warn!("{warning}");
            }
        }
        self.state.warnings = warnings.into_iter().collect();
    }

    /// Says what the programs did.
    pub fn log_counters(&self) {
        match self.datapath.counters() {
            Ok(counters) => {
                let list: Vec<String> =
                    counters.iter().map(|c| format!("{} {}", c.value, c.counter.name())).collect();
                info!("connections: {}", list.join(", "));
            }
            Err(error) => warn!("cannot read the counters: {error:#}"),
        }
        match self.outcomes() {
            Ok(workloads) => {
                for line in workloads.iter().flat_map(WorkloadOutcomes::lines) {
                    info!("{line}");
                }
            }
            Err(error) => warn!("cannot read what became of the connections: {error:#}"),
        }
    }
}
