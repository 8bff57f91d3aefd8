//! What the agent tells of itself: the state that others see, and its log, which has each thing once, when it comes up.

use std::{sync::Arc, time::SystemTime};

use anyhow::Result;
use tcproute_common::Counter;
use tokio::{sync::watch, time::Instant};
use tracing::{error, info, warn};

use super::{
    drain,
    eject::Ejecting,
    follow::Said,
    in_force::{Applied, Failed, FailedAt, InForce},
    reconciles::{Reconciled, Reconciles},
    state::{Failure, Reconcile, State, WaitingState, WorkloadState},
    wanted::LocalDataplanes,
    warnings::Remarks,
};
use crate::{
    bpf::{Missing, requirements::Features},
    drain::Draining,
    sidecar,
    sources::{dns::Shares, snapshot::Health},
};

/// So many things are logged at a time.
const LOGGED: usize = 20;

/// What others know.
pub(super) struct Told {
    state: State,
    published: watch::Sender<Arc<State>>,
    reconciles: Reconciles,
}

/// What only has to be looked at when something is told.
pub(super) struct Beside<'a> {
    pub(super) ejecting: Option<&'a Ejecting>,
    pub(super) draining: Option<&'a Draining>,
    /// Who listens to events.
    pub(super) listeners: usize,
}

/// As many as are logged at a time, and how many more there are.
fn logged(all: impl ExactSizeIterator<Item = String>) -> impl Iterator<Item = String> {
    let more = all.len().saturating_sub(LOGGED);
    all.take(LOGGED).chain((more > 0).then(|| format!("and {more} more: see tcproute status")))
}

impl Told {
    /// Nothing yet but what the kernel can do.
    pub(super) fn new(
        features: Features,
        published: watch::Sender<Arc<State>>,
        reconciles: Reconciles,
    ) -> Self {
        Self { state: State { features: Some(features), ..State::default() }, published, reconciles }
    }

    /// As it will be published next.
    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    /// How the sources are.
    pub(super) fn sources(&mut self, Said { snapshot, sources, .. }: &Said) {
        self.state.rejected = snapshot.rejected.clone();
        self.state.sources.clone_from(sources);
        self.state.blind = match &snapshot.health {
            Health::Late { why } => Some(why.clone()),
            Health::Well | Health::Awaited | Health::Failing { .. } => None,
        };
    }

    /// What becomes of connections where sidecars take them.
    pub(super) fn sidecars(&mut self, sidecars: Arc<sidecar::State>) {
        for failure in sidecars.failures.difference(&self.state.sidecars.failures) {
            warn!("{failure}");
        }
        self.state.sidecars = sidecars;
    }

    /// How many DNS names are looked up.
    pub(super) fn names(&mut self, shares: Shares) {
        self.state.names = shares;
    }

    /// Which of the local Dataplanes are not among the resources.
    pub(super) fn missing(&mut self, local: &LocalDataplanes) {
        self.state.missing = local.missing().collect();
    }

    /// Which of the named cgroups are not there.
    pub(super) fn waiting(&mut self, waiting: Vec<WaitingState>) {
        for new in &waiting {
            if !self.state.waiting.iter().any(|before| before.cgroup == new.cgroup) {
                let cgroup = new.cgroup.display();
                warn!(dataplane = &*new.dataplane, "there is no cgroup {cgroup}: waiting for it");
            }
        }
        self.state.waiting = waiting;
    }

    /// What came of steps, and what was refused before. Whether all is in force.
    pub(super) fn applied(
        &mut self,
        applied: &Applied,
        refused: Vec<String>,
        in_force: &mut InForce,
    ) -> bool {
        for cgroup in &applied.attached {
            let Some(workload) = in_force.workloads.get(cgroup) else { continue };
            let Some(routes) = &workload.routes else { continue };
            info!(
                dataplane = routes.dataplane,
                cgroup = %workload.path.display(),
                routes = routes.routes.len(),
                "attached"
            );
        }
        for cgroup in &applied.forgotten {
            self.state.workloads.remove(cgroup);
        }
        if applied.renewed || !applied.attached.is_empty() {
            self.routes(in_force);
        }
        if applied.grown || self.state.programs.is_empty() {
            match in_force.datapath.program_ids() {
                Ok(programs) => self.state.programs = programs.into(),
                Err(error) => warn!("cannot tell which programs are ours: {error:#}"),
            }
        }
        self.failures(&applied.failures, refused, in_force)
    }

    /// Whether all is pinned, and what was pinned again. Whether that is news.
    pub(super) fn pinned(&mut self, found: Result<Missing>) -> bool {
        let unpinned = match found {
            Ok(Missing { again: 0, lost }) if lost.is_empty() => None,
            Ok(Missing { again, lost }) if lost.is_empty() => {
                warn!("{again} maps and links were not pinned any more: they are again");
                None
            }
            Ok(Missing { lost, .. }) => {
                warn!("programs were detached from {} cgroups: they are attached again", lost.len());
                None
            }
            Err(error) => Some(format!("{error:#}")),
        };
        if unpinned == self.state.unpinned {
            return false;
        }
        match &unpinned {
            Some(why) => error!("not all that is in force is pinned, and it may end with this daemon: {why}"),
            None => info!("what is in force is pinned"),
        }
        self.state.unpinned = unpinned;
        true
    }

    fn failures(&mut self, failures: &[Failed], refused: Vec<String>, in_force: &InForce) -> bool {
        let text = |failed: &Failed| failed.text(&in_force.workloads, in_force.memory().1);
        let of = |kinds: &[FailedAt]| -> Vec<String> {
            failures.iter().filter(|failed| kinds.contains(&failed.at)).map(text).collect()
        };
        let mut unattached = refused;
        unattached.extend(of(&[FailedAt::Attaching, FailedAt::Detaching]));
        unattached.extend(of(&[FailedAt::Room]));
        for failure in unattached.iter().filter(|failure| !self.state.unattached.contains(failure)) {
            error!("{failure}");
        }
        self.state.unattached = unattached;
        let routing = of(&[FailedAt::Routing]);
        if routing.is_empty() {
            self.state.kernel_error = None;
        } else if self.state.kernel_error.as_ref().is_none_or(|before| before.violations != routing) {
            let told = routing.iter().map(|why| format!("the routes before stay in force: {why}"));
            logged(told).for_each(|line| error!("{line}"));
            self.state.kernel_error = Some(Failure::new(routing));
        }
        self.state.kernel_error.is_none()
    }

    fn routes(&mut self, in_force: &InForce) {
        for (&cgroup, workload) in &in_force.workloads {
            let Some(routes) = &workload.routes else { continue };
            let shown = self.state.workloads.get(&cgroup);
            let beyond = shown.map_or(0, |shown| shown.beyond);
            if workload.beyond > 0 && workload.beyond != beyond {
                let (cgroup, beyond) = (workload.path.display(), workload.beyond);
                warn!("{beyond} routes of the cgroup {cgroup} are left to the proxy: it may take no more");
            }
            let same = shown
                .is_some_and(|shown| Arc::ptr_eq(&shown.routes, routes) && shown.late == workload.late)
                && workload.beyond == beyond;
            if !same && (workload.attached || shown.is_some()) {
                let (path, routes) = (workload.path.clone(), Arc::clone(routes));
                let (beyond, late) = (workload.beyond, workload.late);
                let state = WorkloadState { cgroup: path, id: cgroup, routes, beyond, late };
                self.state.workloads.insert(cgroup, Arc::new(state));
            }
        }
    }

    /// What the operator should know of the routes.
    pub(super) fn remarks(&mut self, Remarks { warnings, denied, given_up }: Remarks) {
        self.state.denied = denied;
        self.state.given_up = given_up;
        let before = &self.state.warnings;
        let new: Vec<&String> =
            warnings.iter().filter(|warning| before.binary_search(warning).is_err()).collect();
        logged(new.iter().map(ToString::to_string)).for_each(|line| warn!("{line}"));
        self.state.warnings = warnings.into_iter().collect();
    }

    /// What the programs have counted that has to be told: the log has it once. Whether that is news.
    pub(super) fn noticed(&mut self, lines: Vec<(Counter, String)>) -> bool {
        let before = &self.state.noticed;
        let is_new = |(counter, _): &&(Counter, String)| !before.iter().any(|(known, _)| known == counter);
        lines.iter().filter(is_new).for_each(|(_, line)| warn!("{line}"));
        let is_news = lines != *before;
        self.state.noticed = lines;
        is_news
    }

    /// A change outside was followed up to the kernel.
    pub(super) fn reconciled(&mut self, result: Reconciled, since: Instant) {
        let duration = since.elapsed();
        self.reconciles.count(result, duration);
        self.state.last = Some(Reconcile { at: SystemTime::now(), duration, result });
    }

    /// Shows all of it.
    pub(super) fn publish(&mut self, in_force: &InForce, Beside { ejecting, draining, listeners }: Beside) {
        self.state.listeners = listeners;
        if let Some(ejecting) = ejecting {
            let (ejected, total) = ejecting.shown(in_force);
            self.state.ejected = ejected;
            self.state.ejections = Some(total);
        }
        self.state.drain = draining.map(drain::shown);
        self.state.maps = Some((in_force.layout.taken(), in_force.layout.limits()));
        self.state.map_memory = in_force.memory();
        self.state.ready = self.state.kernel_error.is_none();
        self.published.send_replace(Arc::new(self.state.clone()));
    }
}
