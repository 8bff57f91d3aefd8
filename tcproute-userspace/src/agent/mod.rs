//! The agent: routes in force in the kernel, kept in step with what they are made from.
//!
//! - `wanted`: what shall be, from what the sources say and the cgroups that are there.
//! - `in_force`: what is, in the kernel.
//! - `settle`: the steps from one to the other, as values.
//! - `members`: which cgroups can be workloads side by side.
//! - `sidecars`: what becomes of connections where a sidecar takes them.
//! - `eject`, `drain`: endpoints that do not answer, and connections to endpoints that have left.
//! - `outcomes`, `trace`: what the kernel has counted, and what it tells.
//! - `follow`: the task that listens to the sources.
//! - `state`, `told`, `reconciles`, `warnings`, `noticed`: what others may know of it.
//!
//! The agent itself is the loop that drives them. None of the others knows it.

mod connection;
mod drain;
mod eject;
mod endpoints;
mod follow;
mod in_force;
mod members;
mod noticed;
mod outcomes;
mod recent;
mod reconciles;
mod settle;
mod shares;
mod sidecars;
mod state;
mod told;
mod trace;
mod unanswered;
mod wanted;
mod warnings;

use std::{collections::BTreeMap, future::Future, mem, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use aya_log::EbpfLogger;
use rustc_hash::FxHashSet;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use crate::{
    bpf::{Options, pins::PinDirectory, possible_cpus, requirements::Features},
    drain::Draining,
    outcomes::WorkloadOutcomes,
    plan::{EjectionPolicy, Limits, Memory, Room, RouteTables, Selection},
    routing, sidecar,
    sources::{
        Sources,
        dns::{Dns, FIRST_ANSWERS},
        last_good::LastGood,
        snapshot::Snapshot,
    },
    workloads::{Found, Local, together::Workloads},
};

use eject::Ejecting;
use follow::Feeds;
use in_force::{Attach, InForce};
use outcomes::Splits;
use recent::Recent;
use settle::settle;
use sidecars::Sidecars;
use state::Question;
use told::{Beside, Told};
use trace::Tracing;
use wanted::LocalDataplanes;
use warnings::Remarks;

pub use reconciles::{Reconciled, Reconciles};
pub use shares::{SharesState, WorkloadShare};
pub use state::{
    Desk, DrainState, EjectedState, Failure, GivenUpState, Handle, Reconcile, State, WaitingState,
    WorkloadState, desk,
};

/// What does not change while the agent runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How routes are resolved.
    pub routing: routing::Options,
    /// Whether the rules are those of a source's control plane, if it tells: they are others when that is upgraded.
    pub goes_by_sources: bool,
    /// Whether to log each decision of the programs.
    pub log_decisions: bool,
    /// How connections are given to backends.
    pub selection: Selection,
    /// When endpoints that do not answer are taken out, if ever.
    pub ejection: Option<EjectionPolicy>,
    /// How long connections to an endpoint that has left are kept; `None` for as long as they like.
    pub drain: Option<Duration>,
    /// What the maps may take, in bytes.
    pub max_map_memory: u64,
    /// How many sockets all workloads may have remembered that do not have their own place.
    pub sockets: u32,
    /// What one workload may take.
    pub quota: Room,
    /// How sidecars are got past.
    pub sidecar: sidecar::Settings,
}

/// Where the agent's knowledge comes from.
pub struct Inputs {
    /// What the sources have said first.
    pub first: Arc<Snapshot>,
    /// The sources, if they are followed.
    pub sources: Option<Sources>,
    /// How often names are looked up.
    pub dns_interval: Duration,
    /// The addresses that names had, and where those are kept that they have.
    pub names: Option<LastGood>,
    /// Workloads that come and go.
    pub workloads: Workloads,
    /// Workloads that are there for good.
    pub fixed: Vec<Found>,
}

/// How often the log of the programs is read, while it is on.
const LOG_INTERVAL: Duration = Duration::from_millis(100);

/// How often to try again what has failed, and to give back what is not used any more.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How often to look whether the programs have met with anything that has to be told.
const NOTICE_INTERVAL: Duration = Duration::from_secs(2);

/// How often to look whether all is still pinned.
const PINS_INTERVAL: Duration = Duration::from_secs(1);

/// How often events are read, while somebody listens: their buffer holds 10,000.
const TRACE_INTERVAL: Duration = Duration::from_millis(20);

/// Keeps the kernel in step with what is wanted.
pub struct Agent<'a> {
    settings: Settings,
    local: LocalDataplanes,
    tables: RouteTables,
    in_force: InForce<'a>,
    sidecars: Sidecars,
    splits: Splits,
    recent: Recent,
    /// Where endpoints are taken out.
    ejecting: Option<Ejecting>,
    /// Where connections to endpoints that have left are closed.
    draining: Option<Draining>,
    /// While somebody listens.
    tracing: Option<Tracing>,
    /// Whether something has failed that is to be tried again.
    retries: bool,
    /// Whether there may be other warnings.
    warnings_due: bool,
    told: Told,
    questions: mpsc::Receiver<Question>,
    feeds: Feeds,
    /// What the sources have said, as far as it was followed up.
    said: Arc<Snapshot>,
}

/// What was done.
struct Done {
    /// Routes that are others now.
    changed: usize,
    /// Whether the maps were made larger.
    grown: bool,
    result: Reconciled,
}

impl<'a> Agent<'a> {
    /// Puts the routes in force: loads the programs, fills the maps and attaches them to the cgroups that are there.
    ///
    /// With `pins` it goes on from what an earlier daemon has left there, and what it does outlives this process. Each
    /// connection meanwhile goes by the routes before or by the new ones.
    pub async fn start(
        settings: Settings,
        mut inputs: Inputs,
        pins: Option<&'a PinDirectory>,
        desk: Desk,
    ) -> Result<Self> {
        let Desk { state, questions, reconciles } = desk;
        let found = if inputs.fixed.is_empty() {
            inputs.workloads.local()
        } else {
            Local { found: inputs.fixed.clone().into(), complete: true, ..Local::default() }
        };
        let mut local = LocalDataplanes::new(settings.clone(), found);
        local.take_resources(inputs.first.for_routing());
        let dns = Dns::start(follow::names(&local.routes()), inputs.dns_interval, inputs.names.take());
        local.take_answers(&dns.first(FIRST_ANSWERS).await);
        let mut feeds = Feeds::start(inputs, dns);
        let said = Arc::clone(&feeds.said.borrow_and_update());
        let answers = feeds.answers.borrow_and_update().clone();

        let features = Features::probe().context("cannot probe the kernel's features")?;
        if features.socket_error_offset.is_none() {
            warn!("this kernel has no BTF: why connections fail is not told apart");
        }
        let memory = Memory { most: settings.max_map_memory, cpus: possible_cpus()? };
        let mut tables = RouteTables::new(settings.selection);
        let limits = first_limits(&local, &mut tables, memory);
        let past_sidecars = Sidecars::mark(settings.sidecar, &features)?;
        let options = Options {
            limits,
            features,
            past_sidecars,
            sidecar_uid: settings.sidecar.uid,
            log_decisions: settings.log_decisions,
            sockets: settings.sockets,
            ejects: settings.ejection.is_some(),
            pins,
            reuse_tables: true,
        };
        let mut in_force = InForce::load(&options, memory)?;
        in_force.adopt(pins, local.found())?;
        // What is new must not be routed by half, nor what an earlier daemon has attached.
        let sidecars = Sidecars::start(
            settings.sidecar,
            past_sidecars.is_some(),
            &in_force.datapath,
            pins.is_some(),
            local.found(),
        )
        .await?;
        let before = drain::endpoints_before(&in_force);
        let mut splits = Splits::default();
        splits.note(&in_force.all_routes(), &FxHashSet::default(), &in_force)?;
        let mut agent = Self {
            local,
            tables,
            in_force,
            sidecars,
            splits,
            recent: Recent::default(),
            ejecting: settings.ejection.map(Ejecting::new),
            draining: settings.drain.map(Draining::new),
            tracing: None,
            retries: false,
            warnings_due: false,
            told: Told::new(features, state, reconciles),
            questions,
            feeds,
            said: Arc::clone(&said.snapshot),
            settings,
        };
        agent.told.sources(&said);
        agent.told.names(answers.shares);
        // The tables are complete before anything is attached.
        agent.take_steps(Attach::Later);
        agent.in_force.datapath.prepare_attaching()?;
        agent.take_steps(Attach::Now);
        if let Some(draining) = &mut agent.draining {
            drain::inherit(draining, before, &agent.in_force);
        }
        agent.in_force.datapath.commit()?;
        if let Err(error) = agent.in_force.detach_broken() {
            warn!("programs that an earlier daemon has left may still run: {error:#}");
        }
        agent.sidecars.follow(agent.local.found());
        agent.told.sidecars(agent.sidecars.state());
        agent.told.waiting(agent.local.waiting());
        let routes = warnings::distinct_routes(&agent.in_force.workloads);
        agent.take_remarks(warnings::remarks(&routes, agent.settings.selection));
        agent.publish();
        Ok(agent)
    }

    /// Why nothing is in force, if nothing is: then the start has failed.
    pub fn failure(&self) -> Option<String> {
        let errors = self.told.state().kernel_error.as_ref()?;
        self.told.state().workloads.is_empty().then(|| errors.violations.join("; "))
    }

    /// How many workloads there are.
    pub fn workloads(&self) -> usize {
        self.in_force.workloads.len()
    }

    /// Keeps the kernel in step until `until` is done, and answers with what that gave.
    pub async fn serve_until<T>(&mut self, until: impl Future<Output = T>) -> Result<T> {
        let mut log = self.log()?;
        let mut log_ticks = interval(LOG_INTERVAL);
        let mut retry_ticks = interval(RETRY_INTERVAL);
        let mut pins_ticks = interval(PINS_INTERVAL);
        let mut trace_ticks = interval(TRACE_INTERVAL);
        let mut eject_ticks = interval(eject::INTERVAL);
        let mut notice_ticks = interval(NOTICE_INTERVAL);
        for ticks in
            [&mut retry_ticks, &mut pins_ticks, &mut trace_ticks, &mut eject_ticks, &mut notice_ticks]
        {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut remarks: Option<JoinHandle<Remarks>> = None;
        tokio::pin!(until);
        loop {
            let mut grown = false;
            tokio::select! {
                done = &mut until => {
                    // What was decided since it was last read.
                    log.iter_mut().for_each(EbpfLogger::flush);
                    self.serve_listeners();
                    return Ok(done);
                }
                Ok(()) = self.feeds.said.changed() => {
                    let said = Arc::clone(&self.feeds.said.borrow_and_update());
                    self.told.sources(&said);
                    let before = mem::replace(&mut self.said, Arc::clone(&said.snapshot));
                    if Arc::ptr_eq(&before, &said.snapshot) {
                        self.publish();
                    } else {
                        if let Some(compat) = said.snapshot.compat {
                            self.local.go_by(compat);
                        }
                        let touched = self.local.take_resources(said.snapshot.for_routing());
                        if touched {
                            self.feeds.routes.send_replace(self.local.routes());
                        }
                        grown = self.follow_up(touched, said.since, "the resources");
                    }
                }
                Ok(()) = self.feeds.answers.changed() => {
                    let answers = self.feeds.answers.borrow_and_update().clone();
                    let touched = self.local.take_answers(&answers);
                    self.told.names(answers.shares);
                    if touched {
                        grown = self.bring_in_step(Instant::now(), "the addresses of external services");
                    } else {
                        self.publish();
                    }
                }
                Ok(()) = self.feeds.found.changed() => {
                    let (since, found) = self.feeds.found.borrow_and_update().clone();
                    if let Err(error) = self.in_force.release_others(&found) {
                        warn!("what an earlier daemon has attached to cgroups that are none of ours is left: {error:#}");
                    }
                    if self.local.take_found(found) {
                        self.feeds.routes.send_replace(self.local.routes());
                    }
                    self.told.waiting(self.local.waiting());
                    grown = self.bring_in_step(since, "a cgroup has come or gone");
                    self.sidecars.follow(self.local.found());
                }
                () = self.sidecars.changed() => {
                    self.told.sidecars(self.sidecars.state());
                    self.publish();
                }
                Some(question) = self.questions.recv() => self.answer(question),
                _ = retry_ticks.tick(), if self.has_more_to_do() || self.local.is_waiting() => {
                    if self.local.go_on() {
                        grown = self.bring_in_step(Instant::now(), "names that are not answered");
                    } else if self.is_in_step() {
                        self.in_force.reclaim();
                        self.publish();
                    } else {
                        grown = self.bring_in_step(Instant::now(), "the failure");
                    }
                }
                _ = pins_ticks.tick() => grown = self.keep_pinned(),
                _ = log_ticks.tick(), if log.is_some() => log.iter_mut().for_each(EbpfLogger::flush),
                _ = eject_ticks.tick(), if self.ejecting.is_some() => grown = self.look_after_endpoints(),
                _ = notice_ticks.tick() => self.notice(),
                _ = trace_ticks.tick(), if self.tracing.is_some() => self.serve_listeners(),
                step = drain::step(&mut self.draining) => self.drain(step),
                Some(found) = finished(&mut remarks) => self.take_remarks(found),
                Some(ended) = self.feeds.tasks.join_next() => {
                    let why = ended.err().map_or_else(|| "they were given up".to_owned(), |error| error.to_string());
                    error!("changes outside are not followed any more, start tcproute anew: {why}");
                }
            }
            if grown {
                // The programs that write it are others now.
                log = self.log()?;
            }
            if self.warnings_due && remarks.is_none() {
                self.warnings_due = false;
                let routes = warnings::distinct_routes(&self.in_force.workloads);
                let selection = self.settings.selection;
                remarks = Some(spawn_blocking(move || warnings::remarks(&routes, selection)));
            }
        }
    }

    fn log(&mut self) -> Result<Option<EbpfLogger<&'static dyn log::Log>>> {
        if !self.settings.log_decisions {
            return Ok(None);
        }
        let logger = EbpfLogger::init(self.in_force.datapath.ebpf());
        Ok(Some(logger.context("cannot read the programs' log")?))
    }

    /// Whoever asked may have gone.
    fn answer(&mut self, question: Question) {
        match question {
            Question::Counters(answer) => drop(answer.send(self.in_force.datapath.counters())),
            Question::Shares(answer) => drop(answer.send(shares::shares(&self.in_force))),
            Question::Outcomes(answer) => drop(answer.send(self.outcomes().collect())),
            Question::Recent(answer) => {
                drop(answer.send(recent::connections(&self.recent, &self.in_force, Instant::now())));
            }
            Question::Endpoints(answer) => drop(answer.send(endpoints::connections(&self.in_force))),
            Question::Routed(cookie, answer) => drop(answer.send(connection::routed(&self.in_force, cookie))),
            Question::Dataplanes(answer) => drop(answer.send(Ok(self.local.resolver().list_dataplanes()))),
            Question::Services(answer) => drop(answer.send(Ok(self.local.resolver().list_services()))),
            Question::ServiceEndpoints(answer) => {
                drop(answer.send(Ok(self.local.resolver().list_endpoints())));
            }
            Question::Policies(answer) => drop(answer.send(Ok(self.local.resolver().list_policies()))),
            Question::Trace(answer) => drop(answer.send(self.listen())),
        }
    }

    /// What became of the connections of each workload, by route and backendRef.
    fn outcomes(&self) -> impl Iterator<Item = Result<WorkloadOutcomes>> {
        outcomes::outcomes(&self.in_force, &self.splits, self.settings.selection)
    }

    fn listen(&mut self) -> Result<tokio::sync::broadcast::Receiver<Arc<crate::trace::Record>>> {
        let receiver = match &self.tracing {
            Some(tracing) => tracing.subscribe(),
            None => {
                let (tracing, receiver) = Tracing::begin(&mut self.in_force)?;
                self.tracing = Some(tracing);
                receiver
            }
        };
        self.publish();
        Ok(receiver)
    }

    fn serve_listeners(&mut self) {
        let Some(tracing) = &mut self.tracing else { return };
        tracing.serve(&mut self.in_force);
        let listeners = tracing.listeners();
        if listeners == 0 {
            self.tracing = None;
            if let Err(error) = self.in_force.datapath.set_traced(false) {
                warn!("cannot switch events off: {error:#}");
            }
        }
        if self.told.state().listeners != listeners {
            self.publish();
        }
    }

    fn drain(&mut self, step: crate::drain::Step) {
        if let Some(draining) = &mut self.draining {
            drain::take(draining, step, &self.in_force);
        }
        self.publish();
    }

    fn look_after_endpoints(&mut self) -> bool {
        let Some(ejecting) = &mut self.ejecting else { return false };
        match ejecting.look(&mut self.in_force) {
            Ok(false) => false,
            Ok(true) => self.bring_in_step(Instant::now(), "an endpoint was taken out or put in again"),
            Err(error) => {
                warn!("cannot tell which endpoints fail: {error:#}");
                false
            }
        }
    }

    /// Pins again what is not pinned any more. Whether the maps were made larger meanwhile.
    fn notice(&mut self) {
        match self.in_force.datapath.counters() {
            Ok(counters) => {
                if self.told.noticed(noticed::noticed(&counters)) {
                    self.publish();
                }
            }
            Err(error) => warn!("cannot read the counters: {error:#}"),
        }
        if let Err(error) = self.recent.look(&self.in_force, Instant::now()) {
            warn!("cannot keep how many connections there were: {error:#}");
        }
    }

    fn keep_pinned(&mut self) -> bool {
        let found = self.in_force.keep_pinned();
        let is_lost = found.as_ref().is_ok_and(|missing| !missing.lost.is_empty());
        if self.told.pinned(found) {
            self.publish();
        }
        is_lost && self.bring_in_step(Instant::now(), "programs were detached by others")
    }

    /// Why what is in force ends with this process, if it does.
    pub fn unpinned(&self) -> Option<String> {
        self.told.state().unpinned.clone()
    }

    fn has_more_to_do(&self) -> bool {
        !self.is_in_step() || self.in_force.has_more_to_reclaim()
    }

    fn is_in_step(&self) -> bool {
        self.told.state().kernel_error.is_none() && !self.retries
    }

    fn follow_up(&mut self, touched: bool, since: Instant, what: &str) -> bool {
        if touched || !self.is_in_step() {
            return self.bring_in_step(since, what);
        }
        self.told.missing(&self.local);
        self.done(Reconciled::Unchanged, since);
        false
    }

    /// Brings what is in force in step with what is wanted, after a change outside. Whether the maps were made larger.
    fn bring_in_step(&mut self, since: Instant, what: &str) -> bool {
        let Done { changed, grown, result } = self.take_steps(Attach::Now);
        let ms = since.elapsed().as_secs_f64() * 1000.0;
        // Whoever is told asks for them.
        self.done(result, since);
        if changed > 0 {
            info!("new routes in force: {changed} changed, {ms:.1} ms after {what}");
        }
        grown
    }

    /// Takes the steps from what is in force to what is wanted.
    fn take_steps(&mut self, attach: Attach) -> Done {
        let out = self.ejecting.as_mut().map(|ejecting| ejecting.out(&self.in_force)).unwrap_or_default();
        let (wanted, refused) = self.local.wanted(&self.in_force.workloads, out);
        let steps = settle(&wanted, &self.in_force.workloads, &self.in_force.layout, &mut self.tables);
        if let Some(draining) = &self.draining {
            draining.prepare(&drain::wanted_routes(&wanted));
        }
        let applied = self.in_force.apply(steps, attach);
        let noted = self.splits.note(&applied.changed, &applied.fresh, &self.in_force);
        if let Err(error) = noted {
            warn!("cannot tell how connections are split: {error:#}");
        }
        if !applied.forgotten.is_empty() {
            let there: FxHashSet<u32> =
                self.in_force.workloads.values().map(|workload| workload.id.get()).collect();
            self.splits.retain(|workload| there.contains(&workload));
        }
        if let Some(draining) = &mut self.draining {
            draining.observe(drain::routes_in_force(&self.in_force));
        }
        if let Some(tracing) = &mut self.tracing {
            tracing.forget_names();
        }
        if let Some(ejecting) = &mut self.ejecting {
            ejecting.routes_changed();
        }
        self.tables.clean_up();
        let changed = applied.changed.len();
        let any = changed > 0 || !applied.attached.is_empty() || !applied.forgotten.is_empty();
        self.warnings_due |= any || applied.renewed;
        self.told.missing(&self.local);
        self.retries = applied.failures.iter().any(|failed| failed.cgroup.is_some());
        let result = match self.told.applied(&applied, refused, &mut self.in_force) {
            false => Reconciled::Failed,
            true if any => Reconciled::Applied,
            true => Reconciled::Unchanged,
        };
        Done { changed, grown: applied.grown, result }
    }

    /// Takes what the operator should know of the routes.
    fn take_remarks(&mut self, remarks: Remarks) {
        self.told.remarks(remarks);
        self.publish();
    }

    fn done(&mut self, result: Reconciled, since: Instant) {
        self.told.reconciled(result, since);
        self.publish();
    }

    fn publish(&mut self) {
        let listeners = self.tracing.as_ref().map_or(0, Tracing::listeners);
        let beside = Beside { ejecting: self.ejecting.as_ref(), draining: self.draining.as_ref(), listeners };
        self.told.publish(&self.in_force, beside);
    }

    /// Says what the programs did.
    pub fn log_counters(&self) {
        match self.in_force.datapath.counters() {
            Ok(counters) => {
                let list: Vec<String> =
                    counters.iter().map(|c| format!("{} {}", c.value, c.counter.name())).collect();
                info!("connections: {}", list.join(", "));
            }
            Err(error) => warn!("cannot read the counters: {error:#}"),
        }
        for workload in self.outcomes() {
            match workload {
                Ok(workload) => workload.lines().iter().for_each(|line| info!("{line}")),
                Err(error) => warn!("cannot read what became of the connections: {error:#}"),
            }
        }
    }
}

/// Maps for the routes that there are at the start.
fn first_limits(local: &LocalDataplanes, tables: &mut RouteTables, memory: Memory) -> Limits {
    let layout = crate::plan::Layout::new(Limits::LEAST);
    let (wanted, _) = local.wanted(&BTreeMap::new(), BTreeMap::new());
    let steps = settle(&wanted, &BTreeMap::new(), &layout, tables);
    Limits::LEAST.grown_for(&in_force::demand(&layout, &steps, |_| None), memory)
}

/// What a task gave, once it has ended. What has failed is done anew the next time.
async fn finished(task: &mut Option<JoinHandle<Remarks>>) -> Option<Remarks> {
    let Some(running) = task else { return std::future::pending().await };
    let ended = running.await;
    *task = None;
    ended.ok()
}
