//! The agent: routes in force in the kernel, kept in step with what they are made from.
//!
//! - `resolved`: from resources and DNS answers to routes, and what a change of them touches.
//! - `follow`: the tasks that listen to sources and DNS.
//! - `eject`: endpoints that do not answer.
//! - `cgroups`: the task that watches cgroups.
//! - `workloads`: what is done when one comes or goes.
//! - `drain`: connections to endpoints that have left.
//! - `outcomes`: what the kernel has counted.
//! - `reconcile`: the loop that takes what they find and puts it in force.
//! - `state`: what others may know of it.
//! - `trace`: events of the programs for those who listen.

mod cgroups;
mod drain;
mod eject;
mod follow;
mod outcomes;
mod reconcile;
mod reconciles;
mod resolved;
mod state;
mod trace;
mod workloads;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use tcproute_common::RouteKey;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    bpf::{Datapath, Options, cgroup::Cgroup, pins::PinDirectory, requirements::Features},
    drain::Draining,
    outcomes::WorkloadOutcomes,
    plan::{self, EjectionPolicy, Layout, Limits, Selection, Table, Workload, WorkloadId},
    resources::MeshName,
    routing,
};

use workloads::Member;

pub use cgroups::{Found, Named, present};
pub use reconcile::Follow;
pub use reconciles::{Outcome, Reconciles};
pub use resolved::Resolved;
pub use state::{
    Desk, DrainState, EjectedState, Failure, Handle, Reconcile, State, WaitingState, WorkloadState, desk,
};

/// What does not change while the agent runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The mesh of the local Dataplanes.
    pub mesh: MeshName,
    /// How routes are resolved.
    pub routing: routing::Options,
    /// Whether to log each decision of the programs.
    pub log_decisions: bool,
    /// How connections are given to backends.
    pub selection: Selection,
    /// When endpoints that do not answer are taken out, if ever.
    pub ejection: Option<EjectionPolicy>,
    /// How long connections to an endpoint that has left are kept; `None` for as long as they like.
    pub drain: Option<Duration>,
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

/// The table that the maps are made for: at least one workload for each Dataplane, as its cgroup may be yet to come.
fn expected(resolved: &Resolved, cgroups: &[(usize, &Cgroup)]) -> Table {
    let present: Vec<usize> = cgroups.iter().map(|(dataplane, _)| *dataplane).collect();
    let absent = (0..resolved.dataplanes.len()).filter(|dataplane| !present.contains(dataplane));
    let dataplanes: Vec<usize> = present.iter().copied().chain(absent).collect();
    let ids = WorkloadId::assign(&vec![None; dataplanes.len()], &BTreeSet::new());
    let workload = |(id, dataplane): (WorkloadId, usize)| Workload {
        id,
        routes: Arc::clone(&resolved.dataplanes[dataplane]),
    };
    let workloads: Vec<Workload> = ids.into_iter().zip(dataplanes).map(workload).collect();
    Table::new(&workloads, resolved.settings.selection)
}

/// Routes in force in the kernel.
pub struct Agent<'a> {
    resolved: Resolved,
    members: Vec<Member>,
    named: Vec<Named>,
    /// The cgroups that are there, be they workloads or not.
    found: Vec<Found>,
    /// Numbers of workloads that are gone, and since when.
    freed: Vec<(Instant, WorkloadId)>,
    datapath: Datapath<'a>,
    layout: Layout,
    retired: Vec<Retired>,
    /// Whether there may be counts of backendRefs that have left.
    has_departed: bool,
    /// Since when the weights of each route are what they are.
    splits: BTreeMap<RouteKey, outcomes::Since>,
    /// Where endpoints are taken out.
    ejecting: Option<eject::Ejecting>,
    /// Where connections to endpoints that have left are closed.
    draining: Option<Draining>,
    /// While somebody listens.
    tracing: Option<trace::Tracing>,
    /// Whether the kernel holds what was resolved.
    in_step: bool,
    /// As it is told to others.
    state: State,
    desk: Desk,
}

impl<'a> Agent<'a> {
    /// Puts the routes in force: loads the programs, fills the maps and attaches them to cgroups, each with the place of
    /// its Dataplane.
    ///
    /// With `pins` it goes on from what an earlier daemon has left there, and what it does outlives this process. Each
    /// connection meanwhile goes by the routes before or by the new ones.
    pub fn start(
        resolved: Resolved,
        pins: Option<&'a PinDirectory>,
        cgroups: &[(usize, &Cgroup)],
        desk: Desk,
    ) -> Result<Self> {
        let size = expected(&resolved, cgroups).size();
        let limits = Limits::with_room_for(size)?;
        if size.outcomes >= limits.outcomes as usize {
            warn!("what becomes of connections is counted for {} backendRefs only", limits.outcomes - 1);
        }
        let features = Features::probe().context("cannot probe the kernel's features")?;
        if features.socket_error_offset.is_none() {
            warn!("this kernel has no BTF: why connections fail is not told apart");
        }
        let log_decisions = resolved.settings.log_decisions;
        let ejecting = resolved.settings.ejection.map(eject::Ejecting::new);
        let ejects = ejecting.is_some();
        let draining = resolved.settings.drain.map(Draining::new);
        let options = Options { limits, features, log_decisions, ejects, pins, reuse_tables: true };
        let (mut datapath, layout) = load(&options)?;
        let known: Vec<Option<WorkloadId>> =
            cgroups.iter().map(|(_, cgroup)| datapath.adopt(cgroup)).collect();
        let member = |((dataplane, cgroup), id): (&(usize, &Cgroup), WorkloadId)| Member {
            dataplane: *dataplane,
            path: cgroup.path().to_path_buf(),
            cgroup: cgroup.id(),
            id,
        };
        let ids = WorkloadId::assign(&known, &layout.counted_workloads());
        let members: Vec<Member> = cgroups.iter().zip(ids).map(member).collect();
        // Before their numbers are given to others.
        datapath.detach_others(&members.iter().map(|member| member.cgroup).collect())?;
        let state = State { features: Some(features), ..State::default() };
        let mut agent = Self {
            resolved,
            members,
            named: Vec::new(),
            found: cgroups
                .iter()
                .map(|(dataplane, cgroup)| Found {
                    dataplane: *dataplane,
                    path: cgroup.path().to_path_buf(),
                    id: cgroup.id(),
                })
                .collect(),
            freed: Vec::new(),
            datapath,
            layout,
            retired: Vec::new(),
            splits: BTreeMap::new(),
            has_departed: true,
            ejecting,
            draining,
            tracing: None,
            in_step: false,
            state,
            desk,
        };
        agent.forget_sockets_of_others()?;
        let table = agent.table();
        let before = agent.endpoints_before(&known.into_iter().flatten().collect());
        agent.put_in_force(&table)?;
        if let Some(draining) = &mut agent.draining {
            draining.inherit(&before);
        }
        agent.datapath.prepare_attaching()?;
        for (_, cgroup) in cgroups {
            match agent.attach(cgroup) {
                // It is forgotten when the cgroups are looked at again.
                Err(_) if !cgroup.exists() => {}
                attached => attached?,
            }
        }
        agent.datapath.commit()?;
        agent.in_step = true;
        agent.warn();
        agent.publish();
        Ok(agent)
    }

    /// Gives back what no program can be reading any more.
    fn reclaim(&mut self) {
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
    }

    /// Makes the kernel hold this table, or leaves it as it is. How many of its routes have changed.
    fn put_in_force(&mut self, table: &Table) -> Result<usize> {
        self.reclaim();
        let (next, change) = self.layout.plan(table)?;
        for member in &self.members {
            self.datapath.extend_filter(table, member.id)?;
        }
        self.prepare_draining();
        self.datapath.apply(&change)?;
        self.layout = next;
        self.note_departures();
        let changed = change.routes.len();
        self.has_departed |= changed > 0;
        if let Err(error) = self.note_splits() {
            warn!("cannot tell how connections are split: {error:#}");
        }
        if !change.retired.is_empty() {
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
