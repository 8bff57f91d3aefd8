//! One look at the daemon, from which all pages that are open are drawn: each route beside what was counted of it, and
//! how fast the counters rise since the look before.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    admin::status::Status,
    agent::{State, WorkloadState},
    outcomes::{Outcomes, RouteOutcomes, WorkloadOutcomes, float},
    routing::{Action, Plaintext, ResolvedBackend, ResolvedRoute},
};

/// Counters that are lower than they were may be carried over to another map: so long they are waited for.
const CARRIED_OVER: Duration = Duration::from_secs(10);

/// The daemon at one moment.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) status: Status,
    /// By service, what is dialled, and client.
    pub(super) routes: Vec<Row>,
}

/// A route of a workload.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) workload: Arc<WorkloadState>,
    pub(super) route: ResolvedRoute,
    /// `None` if nothing is counted: it is left to the proxy, or not in force yet.
    pub(super) counted: Option<Counted>,
    /// Endpoints that are taken out, by the target of the backendRef.
    pub(super) ejected: Vec<(String, SocketAddr)>,
    /// What is wrong with it.
    pub(super) trouble: Vec<String>,
}

/// What was counted of a route.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) selection: String,
    /// Whether the split is what the weights say.
    pub(super) verdict: Option<String>,
    /// Whether it is surely not.
    is_off: bool,
    pub(super) since: Option<Timestamp>,
    /// In the order of the policy.
    pub(super) backends: Vec<CountedBackend>,
}

/// What was counted of a backendRef.
#[derive(Debug, Clone, Default)]
pub(super) struct CountedBackend {
    pub(super) target: String,
    /// How often it was chosen since the weights are what they are, and what part of all that is.
    pub(super) chosen: Option<u64>,
    pub(super) observed: Option<f64>,
    /// `None` if it is not counted.
    pub(super) counts: Option<Counts>,
    pub(super) rate: Option<Rate>,
}

/// Of the connections to a backendRef.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    pub(super) established: u64,
    pub(super) open: u64,
    /// Attempts that have come to nothing.
    pub(super) failed: u64,
    /// Refused on this node, since there was no endpoint.
    pub(super) no_endpoint: u64,
}

/// Connections a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rate {
    pub(super) established: f64,
    /// Failed, or refused for want of endpoints.
    pub(super) failed: f64,
}

impl From<&Outcomes> for Counts {
    fn from(outcomes: &Outcomes) -> Self {
        let &Outcomes { established, open, no_endpoint, .. } = outcomes;
        Self { established, open, failed: outcomes.unsuccessful(), no_endpoint }
    }
}

impl Counts {
    /// `None` if they began anew meanwhile.
    fn rate_since(&self, before: &Self, seconds: f64) -> Option<Rate> {
        let failed = |counts: &Self| counts.failed.checked_add(counts.no_endpoint);
        let established = self.established.checked_sub(before.established)?;
        let failed = failed(self)?.checked_sub(failed(before)?)?;
        (seconds > 0.0)
            .then(|| Rate { established: float(established) / seconds, failed: float(failed) / seconds })
    }
}

/// The counters as they were, from one reading to the next.
#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<Place, Vec<Mark>>);

/// A route of a workload: its cgroup, service and what is dialled.
type Place = (PathBuf, String, SocketAddr);

/// What a backendRef had.
#[derive(Debug)]
struct Mark {
    target: String,
    at: Instant,
    counts: Counts,
}

impl Rates {
    /// What each backendRef of these has gained. Those that are not there any more are forgotten.
    fn next(
        &mut self,
        place: Place,
        route: &RouteOutcomes,
        at: Instant,
        kept: &mut Self,
    ) -> Vec<Option<Rate>> {
        let mut before = self.0.remove(&place).unwrap_or_default();
        let mut marks = Vec::with_capacity(route.backends.len());
        let mut rates = Vec::with_capacity(route.backends.len());
        for backend in &route.backends {
            let Some(counts) = backend.total.as_ref().map(Counts::from) else {
                rates.push(None);
                continue;
            };
            let known = before.iter().position(|mark| mark.target == backend.target);
            let known = known.map(|known| before.remove(known));
            let now = || Mark { target: backend.target.clone(), at, counts };
            let Some(mark) = known else {
                rates.push(None);
                marks.push(now());
                continue;
            };
            let since = at.saturating_duration_since(mark.at);
            let rate = counts.rate_since(&mark.counts, since.as_secs_f64());
            rates.push(rate);
            marks.push(if rate.is_none() && since < CARRIED_OVER { mark } else { now() });
        }
        kept.0.insert(place, marks);
        rates
    }
}

impl Reading {
    /// Puts together what was read at the same time, and what has changed since the rates were asked for.
    pub(super) fn new(
        state: &State,
        status: Status,
        outcomes: Vec<WorkloadOutcomes>,
        at: Instant,
        rates: &mut Rates,
    ) -> Self {
        let mut kept = Rates::default();
        let mut counted = HashMap::new();
        for WorkloadOutcomes { cgroup, routes, .. } in outcomes {
            for route in routes {
                let dialled = route.dialled();
                let place = (cgroup.clone(), route.service.clone(), dialled);
                let rates = rates.next(place.clone(), &route, at, &mut kept);
                counted.insert(place, Counted::new(route, rates));
            }
        }
        *rates = kept;
        let unattached: HashSet<&PathBuf> =
            status.workloads.iter().filter(|it| !it.attached).map(|it| &it.cgroup).collect();
        let mut ejected = HashMap::<_, Vec<_>>::new();
        for out in &state.ejected {
            let all = ejected.entry((out.dataplane.as_str(), out.dialled)).or_default();
            all.push((out.backend.clone(), out.endpoint));
        }
        let mut routes = Vec::new();
        for workload in state.workloads.values() {
            for route in workload.routes.routes.iter() {
                let place = (workload.cgroup.clone(), route.destination.service.to_string(), route.dialled);
                let counted = counted.remove(&place);
                let ejected = ejected.get(&(workload.routes.dataplane.as_str(), route.dialled));
                let ejected = ejected.cloned().unwrap_or_default();
                let mut row = Row {
                    workload: Arc::clone(workload),
                    route: route.clone(),
                    counted,
                    ejected,
                    trouble: Vec::new(),
                };
                row.trouble = row.find_trouble(!unattached.contains(&workload.cgroup));
                routes.push(row);
            }
        }
        routes.sort_by(Row::by_service);
        Self { status, routes }
    }
}

impl Counted {
    fn new(route: RouteOutcomes, rates: Vec<Option<Rate>>) -> Self {
        let verdict = route.verdict();
        let is_off = route.is_off();
        let split = route.split.as_ref();
        let backends = route.backends.iter().zip(rates).enumerate();
        let backends = backends.map(|(index, (backend, rate))| CountedBackend {
            target: backend.target.clone(),
            chosen: split.and_then(|split| split.chosen.get(index).copied()),
            observed: split.and_then(|split| split.observed.get(index).copied()),
            counts: backend.outcomes.as_ref().map(Counts::from),
            rate,
        });
        let backends = backends.collect();
        let since = route.since;
        Self { selection: route.selection, verdict, is_off, since, backends }
    }
}

impl Row {
    pub(super) fn is_routed(&self) -> bool {
        self.route.destination.action == Action::Route
    }

    pub(super) fn client(&self) -> &str {
        &self.workload.routes.dataplane
    }

    pub(super) fn service(&self) -> &str {
        &self.route.destination.service
    }

    pub(super) fn by_service(&self, other: &Self) -> Ordering {
        let key = |row: &Self| (row.route.dialled, row.workload.id);
        self.service()
            .cmp(other.service())
            .then_with(|| key(self).cmp(&key(other)))
            .then_with(|| self.client().cmp(other.client()))
    }

    /// What was counted of a backendRef, if what was counted is that of this route.
    pub(super) fn counted(&self, index: usize, backend: &ResolvedBackend) -> Option<&CountedBackend> {
        let counted = self.counted.as_ref()?.backends.get(index)?;
        (counted.target == backend.target.to_string()).then_some(counted)
    }

    /// Over all backendRefs, as far as there are any.
    pub(super) fn rate(&self) -> Option<Rate> {
        let rates = self.counted.as_ref()?.backends.iter().filter_map(|backend| backend.rate);
        rates.reduce(|sum, rate| Rate {
            established: sum.established + rate.established,
            failed: sum.failed + rate.failed,
        })
    }

    fn find_trouble(&self, attached: bool) -> Vec<String> {
        let destination = &self.route.destination;
        let mut trouble = Vec::new();
        if !self.is_routed() {
            return trouble;
        }
        if !attached {
            trouble
                .push("not in force: the programs are not attached to the cgroup of its client".to_owned());
        }
        if destination.backends.iter().all(|backend| backend.share == 0.0) {
            trouble.push("every connection is refused: no backendRef has a weight".to_owned());
        }
        let empty = destination.backends.iter().filter(|backend| backend.endpoints.is_empty());
        let refused: f64 = empty.map(|backend| backend.share).sum();
        if refused > 0.0 {
            let percent = refused * 100.0;
            trouble.push(format!("{percent:.1} % of its connections are refused: no endpoint"));
        }
        if self.route.destination.bypass.as_ref().is_some_and(|it| it.plaintext == Plaintext::Refused) {
            trouble.push(Plaintext::Refused.told().to_owned());
        }
        if !self.ejected.is_empty() {
            trouble.push(format!("{} of its endpoints are taken out, since they fail", self.ejected.len()));
        }
        if let Some(verdict) = self.counted.as_ref().filter(|it| it.is_off).and_then(|it| it.verdict.as_ref())
        {
            trouble.push(verdict.clone());
        }
        if let Some(rate) = self.rate().filter(|rate| rate.failed > 0.0) {
            trouble.push(format!("{:.1} connections a second fail", rate.failed));
        }
        trouble
    }
}
