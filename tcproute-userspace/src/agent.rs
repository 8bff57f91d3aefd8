//! The reconcile loop: from resources and DNS answers to the kernel, again whenever they change.

use std::{
    collections::BTreeSet,
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use aya_log::EbpfLogger;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::{
    bpf::{Datapath, Options, cgroup::Cgroup, pins::PinDirectory, requirements::Features},
    plan::{Layout, Limits, Run, Table, Workload, WorkloadId},
    resources::{MeshName, Resources},
    routing::{self, DataplaneRoutes, DnsAnswers, Resolver},
    sources::dns,
};

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
}

/// The routes of some Dataplanes, resolved but not in force anywhere. Making it needs no privilege.
pub struct Resolved {
    settings: Settings,
    resolver: Resolver,
    host_names: BTreeSet<String>,
    dns: DnsAnswers,
    workloads: Vec<Workload>,
    warned: BTreeSet<String>,
}

impl Resolved {
    /// Resolves the routes of these Dataplanes, each of which must exist.
    pub async fn new(settings: Settings, resources: Resources, dataplanes: Vec<String>) -> Result<Self> {
        let host_names = resources.external_host_names();
        let dns = dns::look_up(&host_names, &DnsAnswers::new()).await;
        let mut resolver = Resolver::new(resources, dns.clone(), settings.routing);
        let ids = WorkloadId::assign(&vec![None; dataplanes.len()]);
        let workload = |(id, name): (WorkloadId, &String)| {
            Ok(Workload { id, routes: resolver.resolve(&settings.mesh, name)? })
        };
        let workloads = ids.into_iter().zip(&dataplanes).map(workload).collect::<Result<_>>()?;
        let mut resolved = Self { settings, resolver, host_names, dns, workloads, warned: BTreeSet::new() };
        resolved.warn();
        Ok(resolved)
    }

    /// Looks the names up again. Whether that touched any route.
    async fn refresh_dns(&mut self) -> Result<bool> {
        let answers = dns::look_up(&self.host_names, &self.dns).await;
        if answers == self.dns {
            return Ok(false);
        }
        self.dns.clone_from(&answers);
        let update = self.resolver.update(self.resolver.resources().clone(), answers);
        let mut touched = false;
        for workload in &mut self.workloads {
            touched |= self.resolver.refresh(&mut workload.routes, &update)?;
        }
        Ok(touched)
    }

    /// Says each warning once.
    fn warn(&mut self) {
        for routes in self.workloads.iter().map(|workload| &workload.routes) {
            for policy in routes.not_enforced() {
                let DataplaneRoutes { dataplane, .. } = routes;
                let warning =
                    format!("{policy} is not enforced on connections of {dataplane} that bypass the proxy");
                if !self.warned.contains(&warning) {
                    warn!("{warning}");
                    self.warned.insert(warning);
                }
            }
            for warning in routes.warnings() {
                if !self.warned.contains(warning) {
                    warn!("{warning}");
                    self.warned.insert(warning.to_owned());
                }
            }
        }
    }
}

/// Runs that no route leads to any more, and since when.
struct Retired {
    since: Instant,
    endpoints: Vec<Run>,
    backends: Vec<Run>,
}

/// Longer than any program can still be reading a run: they run with preemption by RCU and for microseconds.
const GRACE: Duration = Duration::from_secs(1);

/// How often the log of the programs is read, while it is on.
const LOG_INTERVAL: Duration = Duration::from_millis(100);

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
    /// Whether the kernel holds what was resolved.
    in_step: bool,
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
    ) -> Result<Self> {
        let limits = Limits::with_room_for(Table::new(&resolved.workloads).size())?;
        let features = Features::probe().context("cannot probe the kernel's features")?;
        let log_decisions = resolved.settings.log_decisions;
        let options = Options { limits, features, log_decisions, pins, reuse_tables: true };
        let (mut datapath, layout) = load(&options)?;
        let known: Vec<Option<WorkloadId>> = cgroups.iter().map(|cgroup| datapath.adopt(cgroup)).collect();
        for (workload, id) in resolved.workloads.iter_mut().zip(WorkloadId::assign(&known)) {
            workload.id = id;
        }
        // Before their numbers are given to others.
        datapath.detach_others(cgroups)?;
        let mut agent = Self { resolved, datapath, layout, retired: Vec::new(), in_step: false };
        agent.put_in_force(&Table::new(&agent.resolved.workloads))?;
        for (workload, cgroup) in agent.resolved.workloads.iter().zip(cgroups) {
            agent.datapath.attach(cgroup, workload.id)?;
            info!(
                dataplane = workload.routes.dataplane,
                cgroup = %cgroup.path().display(),
                routes = workload.routes.routes.len(),
                "attached"
            );
        }
        agent.datapath.commit()?;
        Ok(agent)
    }

    fn put_in_force(&mut self, table: &Table) -> Result<()> {
        let layout = &mut self.layout;
        self.retired.retain(|retired| {
            let wait = retired.since.elapsed() < GRACE;
            if !wait {
                layout.reuse(&retired.endpoints, &retired.backends);
            }
            wait
        });
        let (next, change) = self.layout.plan(table)?;
        for workload in &self.resolved.workloads {
            self.datapath.extend_filter(table, workload.id)?;
        }
        self.datapath.apply(&change)?;
        self.layout = next;
        self.retired.push(Retired {
            since: Instant::now(),
            endpoints: change.retired_endpoints,
            backends: change.retired_backends,
        });
        self.in_step = true;
        Ok(())
    }

    /// Keeps the kernel in step with DNS until `until` is done, and answers with what that gave.
    pub async fn serve_until<T>(&mut self, until: impl Future<Output = T>) -> Result<T> {
        let mut log = if self.resolved.settings.log_decisions {
            let logger = EbpfLogger::init(self.datapath.ebpf()).context("cannot read the programs' log")?;
            Some(logger)
        } else {
            None
        };
        let mut log_ticks = interval(LOG_INTERVAL);
        let mut dns_ticks = interval(self.resolved.settings.dns_interval);
        dns_ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        dns_ticks.reset();
        tokio::pin!(until);
        loop {
            tokio::select! {
                done = &mut until => return Ok(done),
                _ = dns_ticks.tick(), if !self.resolved.host_names.is_empty() => self.follow_dns().await,
                _ = log_ticks.tick(), if log.is_some() => log.iter_mut().for_each(EbpfLogger::flush),
            }
        }
    }

    async fn follow_dns(&mut self) {
        match self.resolved.refresh_dns().await {
            Ok(touched) => self.in_step &= !touched,
            Err(error) => error!("{error:#}"),
        }
        if self.in_step {
            return;
        }
        match self.put_in_force(&Table::new(&self.resolved.workloads)) {
            Ok(()) => {
                info!("addresses of external services have changed: new routes in force");
                self.resolved.warn();
            }
            Err(error) => error!("the routes before stay in force: {error:#}"),
        }
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
    }
}
