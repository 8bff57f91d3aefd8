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
    outcomes::{BackendOutcomes, DataplaneOutcomes, RouteOutcomes},
    plan::{self, Layout, Limits, RefName, Selection, Table, Workload, WorkloadId},
    resources::{MeshName, Resources},
    routing::{self, Action, DataplaneRoutes, DnsAnswers, ResolvedRoute, Resolver},
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
    /// How connections are given to backends.
    pub selection: Selection,
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
        let workload = |(index, name): (usize, &String)| {
            let routes = resolver.resolve(&settings.mesh, name)?;
            let id = WorkloadId::nth(index).context("too many workloads")?;
            Ok(Workload { id, routes })
        };
        let workloads = dataplanes.iter().enumerate().map(workload).collect::<Result<_>>()?;
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

    /// What the maps shall hold.
    fn table(&self) -> Table {
        Table::new(&self.workloads, self.settings.selection)
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
            for route in &routes.routes {
                if self.settings.selection == Selection::Even && plan::has_too_many_turns(route) {
                    let (service, dialled) = (&route.destination.service, route.dialled);
                    let warning = format!(
                        "{service} at {dialled}: the weights make more than {} turns, so backends are chosen at random",
                        plan::MOST_TURNS
                    );
                    if !self.warned.contains(&warning) {
                        warn!("{warning}");
                        self.warned.insert(warning);
                    }
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
    runs: plan::Retired,
}

/// Longer than any program can still be reading a run: they run with preemption by RCU and for microseconds.
const GRACE: Duration = Duration::from_secs(1);

/// How often the log of the programs is read, while it is on.
const LOG_INTERVAL: Duration = Duration::from_millis(100);

/// Routes in force in the kernel.
pub struct Agent {
    resolved: Resolved,
    datapath: Datapath,
    layout: Layout,
    retired: Vec<Retired>,
    /// Whether the kernel holds what was resolved.
    in_step: bool,
}

impl Agent {
    /// Loads the programs and fills the maps, which `pins` makes visible. No workload is attached yet.
    pub fn load(resolved: Resolved, pins: Option<&PinDirectory>) -> Result<Self> {
        let table = resolved.table();
        let limits = Limits::with_room_for(table.size())?;
        if table.size().outcomes >= limits.outcomes as usize {
            warn!("what becomes of connections is counted for {} backendRefs only", limits.outcomes - 1);
        }
        let features = Features::probe().context("cannot probe the kernel's features")?;
        if features.socket_error_offset.is_none() {
            warn!("this kernel has no BTF: why connections fail is not told apart");
        }
        let log_decisions = resolved.settings.log_decisions;
        let datapath = Datapath::load(&Options { limits, features, log_decisions, pins })?;
        let mut agent =
            Self { resolved, datapath, layout: Layout::new(limits), retired: Vec::new(), in_step: false };
        agent.put_in_force(&table)?;
        Ok(agent)
    }

    /// Attaches the `index`-th Dataplane's routes to a cgroup.
    pub fn attach(&mut self, index: usize, cgroup: &Cgroup) -> Result<()> {
        let workload = &self.resolved.workloads[index];
        self.datapath.attach(cgroup, workload.id)?;
        info!(
            dataplane = workload.routes.dataplane,
            cgroup = %cgroup.path().display(),
            routes = workload.routes.routes.len(),
            "attached"
        );
        Ok(())
    }

    fn put_in_force(&mut self, table: &Table) -> Result<()> {
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
        self.retired.push(Retired { since: Instant::now(), runs: change.retired });
        self.in_step = true;
        Ok(())
    }

    /// Gives the counts of backendRefs to others that left so long ago that no program can add to them, and of which all
    /// connections have ended.
    fn reuse_drained(&mut self) -> Result<()> {
        if !self.retired.is_empty() {
            return Ok(());
        }
        for departed in self.layout.departed() {
            if self.datapath.outcomes(departed.slot)?.is_drained() {
                self.datapath.clear_outcomes(departed.slot)?;
                self.layout.reuse_slot(&departed);
            }
        }
        Ok(())
    }

    /// What became of the connections of each Dataplane, by route and backendRef.
    pub fn outcomes(&self) -> Result<Vec<DataplaneOutcomes>> {
        let of_workload = |workload: &Workload| {
            let mut seen = BTreeSet::new();
            let routed = workload.routes.routes.iter().filter(|route| {
                // Of two routes with the same address the first stands.
                route.destination.action == Action::Route && seen.insert(route.dialled)
            });
            let routes = routed.map(|route| self.route_outcomes(workload, route)).collect::<Result<_>>()?;
            let DataplaneRoutes { mesh, dataplane, .. } = &workload.routes;
            Ok(DataplaneOutcomes { mesh: mesh.clone(), dataplane: dataplane.clone(), routes })
        };
        self.resolved.workloads.iter().map(of_workload).collect()
    }

    fn route_outcomes(&self, workload: &Workload, route: &ResolvedRoute) -> Result<RouteOutcomes> {
        let key = workload.key(route);
        let names = RefName::of_route(route);
        let backends = names.into_iter().zip(&route.destination.backends).map(|(name, backend)| {
            let slot = self.layout.slot(&key, &name);
            Ok(BackendOutcomes {
                target: name.target,
                weight: backend.weight,
                share: backend.share,
                outcomes: slot.map(|slot| self.datapath.outcomes(slot)).transpose()?,
            })
        });
        Ok(RouteOutcomes {
            service: route.destination.service.to_string(),
            address: route.dialled.ip(),
            port: route.dialled.port(),
            backends: backends.collect::<Result<_>>()?,
        })
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
        match self.put_in_force(&self.resolved.table()) {
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
        match self.outcomes() {
            Ok(dataplanes) => {
                for line in dataplanes.iter().flat_map(DataplaneOutcomes::lines) {
                    info!("{line}");
                }
            }
            Err(error) => warn!("cannot read what became of the connections: {error:#}"),
        }
    }
}
