//! From readings to rows. Routes come and go, counters begin anew and daemons restart: of what cannot be compared there
//! is no rate, and never a wrong one.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    net::SocketAddr,
    time::Duration,
};

use rustc_hash::FxHashMap;

use super::{
    row::{Backend, Cause, Key, Out, Row, Totals},
    window::{Counted, Window, add},
};
use crate::{
    admin::status::Ejected,
    outcomes::{BackendOutcomes, Latency, RouteOutcomes, WorkloadOutcomes, float},
};

/// What the daemon has told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    /// Since any fixed moment.
    pub(crate) at: Duration,
    /// As of `/v1/outcomes`.
    pub(crate) outcomes: Vec<WorkloadOutcomes>,
    /// As of `/v1/status`.
    pub(crate) ejected: Vec<Ejected>,
}

/// What is known of routes.
#[derive(Debug, Default)]
pub(crate) struct Model {
    tracks: FxHashMap<Key, Track>,
    /// When it was read last.
    last: Option<Duration>,
    rows: Vec<Row>,
    totals: Totals,
}

/// The windows of a route's backendRefs, by target. One may be there twice. None for one that is not counted.
type Track = Vec<(String, Option<Window>)>;

/// Whose endpoints are out: Dataplane, dialled address, target of the backendRef.
type OutOf<'a> = FxHashMap<(&'a str, SocketAddr, &'a str), Vec<Out>>;

impl Model {
    /// Takes the next reading; what is shown is of the last `span`.
    pub(crate) fn take(&mut self, reading: &Reading, span: Duration) {
        let seconds = self.last.map_or(0.0, |last| reading.at.saturating_sub(last).as_secs_f64());
        let mut out: OutOf = FxHashMap::default();
        for Ejected { dataplane, dialled, backend, endpoint, until } in &reading.ejected {
            let whose = (dataplane.as_str(), *dialled, backend.as_str());
            out.entry(whose).or_default().push(Out { endpoint: *endpoint, until: *until });
        }
        let mut before = mem::take(&mut self.tracks);
        self.rows.clear();
        self.totals = Totals::default();
        for workload in &reading.outcomes {
            for route in &workload.routes {
                let key = key(workload, route);
                let earlier = before.remove(&key).unwrap_or_default();
                let track = track(earlier, route, seconds, span.as_secs_f64());
                self.rows.push(row(key.clone(), route, &track, &out, &mut self.totals));
                self.tracks.insert(key, track);
            }
        }
        self.last = Some(reading.at);
    }

    /// In the order of the daemon.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Of all of them.
    pub(crate) const fn totals(&self) -> &Totals {
        &self.totals
    }
}

fn key(workload: &WorkloadOutcomes, route: &RouteOutcomes) -> Key {
    Key {
        mesh: workload.mesh.clone(),
        dataplane: workload.dataplane.clone(),
        cgroup: workload.cgroup.clone(),
        dialled: route.dialled(),
    }
}

fn track(earlier: Track, route: &RouteOutcomes, seconds: f64, span: f64) -> Track {
    let is_same = earlier.iter().map(|(target, _)| target).eq(route.backends.iter().map(|it| &it.target));
    let next = |backend: &BackendOutcomes, window: Option<Window>| {
        let window = match (backend.total, window) {
            (None, _) => None,
            (Some(outcomes), None) => Some(Window::new(&outcomes)),
            (Some(outcomes), Some(mut window)) => {
                window.take(&outcomes, seconds, span);
                Some(window)
            }
        };
        (backend.target.clone(), window)
    };
    if is_same {
        let both = route.backends.iter().zip(earlier);
        return both.map(|(backend, (_, window))| next(backend, window)).collect();
    }
    let mut by_target: HashMap<String, VecDeque<Option<Window>>> = HashMap::new();
    for (target, window) in earlier {
        by_target.entry(target).or_default().push_back(window);
    }
    let mut found = |target: &str| by_target.get_mut(target).and_then(VecDeque::pop_front).flatten();
    route.backends.iter().map(|backend| next(backend, found(&backend.target))).collect()
}

fn row(key: Key, route: &RouteOutcomes, track: &Track, out: &OutOf, totals: &mut Totals) -> Row {
    let counted: Vec<Option<Counted>> =
        track.iter().map(|(_, window)| window.as_ref().and_then(Window::counted)).collect();
    // A share of what is not all counted would be wrong.
    let all: Option<u64> = counted.iter().map(|it| it.map(|it| it.outcomes.chosen())).sum();
    let all = all.filter(|all| *all > 0);
    let mut row = Row {
        key,
        service: route.service.clone(),
        selection: route.selection.clone(),
        rate: None,
        failing: None,
        deviation: None,
        latency: Latency::default(),
        backends: Vec::with_capacity(route.backends.len()),
    };
    for ((configured, counted), (_, window)) in route.backends.iter().zip(&counted).zip(track) {
        let rate = counted.map(|it| it.rate(it.outcomes.chosen()));
        let failures = counted.as_ref().map(failures);
        let observed = all.zip(*counted).map(|(all, it)| float(it.outcomes.chosen()) / float(all));
        let latency = counted.map(|it| it.outcomes.latency).unwrap_or_default();
        let sum = |is_meant: fn(Cause) -> bool| {
            let meant = failures.as_ref()?.iter().filter(|(cause, _)| is_meant(*cause));
            // Not by `sum`, which is -0 of none.
            Some(meant.fold(0.0, |sum, (_, rate)| sum + rate))
        };
        let (failing, refused) = (sum(|_| true), sum(Cause::is_refusal));
        add(&mut row.rate, rate);
        add(&mut row.failing, failing);
        add(&mut totals.rate, rate);
        add(&mut totals.failing, failing);
        add(&mut totals.refused, refused);
        if let Some(off) = observed.map(|observed| (observed - configured.share).abs()) {
            row.deviation = Some(row.deviation.map_or(off, |most| most.max(off)));
        }
        row.latency.sum_us += latency.sum_us;
        row.latency.buckets.iter_mut().zip(latency.buckets).for_each(|(sum, more)| *sum += more);
        let whose = (row.key.dataplane.as_str(), row.key.dialled, configured.target.as_str());
        let out = out.get(&whose).cloned().unwrap_or_default();
        row.backends.push(Backend {
            target: configured.target.clone(),
            weight: configured.weight,
            share: configured.share,
            observed,
            rate,
            failures: failures.unwrap_or_default(),
            latency,
            whole: window.as_ref().map(|window| *window.last()),
            out,
        });
    }
    row
}

fn failures(counted: &Counted) -> Vec<(Cause, f64)> {
    let of = |cause: Cause| (cause, cause.count(&counted.outcomes));
    let some = Cause::ALL.into_iter().map(of).filter(|(_, count)| *count > 0);
    some.map(|(cause, count)| (cause, counted.rate(count))).collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
