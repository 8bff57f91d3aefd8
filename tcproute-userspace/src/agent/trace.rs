//! Events of the programs, with the names of what they are about, for those who listen. While nobody does, there are none.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use tcproute_common::{Counter, Event, EventKind, RouteKey, SocketAddress};
use tokio::sync::broadcast;
use tracing::warn;

use super::Agent;
use crate::{
    bpf::events,
    outcomes::timestamp,
    routing::DataplaneRoutes,
    trace::{Decision, Outcome, Record},
};

/// Records that a slow listener may be behind.
const BEHIND: usize = 1 << 14;

/// Those who listen.
pub(super) struct Tracing {
    records: broadcast::Sender<Arc<Record>>,
    /// By what the events have.
    routes: BTreeMap<RouteKey, (Arc<DataplaneRoutes>, usize)>,
    backends: BTreeMap<u32, String>,
    /// The wall clock at the boot.
    boot: SystemTime,
    /// Lost in the kernel, as far as it was told.
    lost: u64,
}

impl Agent<'_> {
    /// One more listener.
    pub(super) fn listen(&mut self) -> Result<broadcast::Receiver<Arc<Record>>> {
        let receiver = self.subscribe();
        self.publish();
        receiver
    }

    /// How many there are.
    pub(super) fn listeners(&self) -> usize {
        self.tracing.as_ref().map_or(0, |tracing| tracing.records.receiver_count())
    }

    fn subscribe(&mut self) -> Result<broadcast::Receiver<Arc<Record>>> {
        if let Some(tracing) = &self.tracing {
            return Ok(tracing.records.subscribe());
        }
        let (sender, receiver) = broadcast::channel(BEHIND);
        let boot = SystemTime::now() - Duration::from_nanos(events::now()?);
        let lost = self.lost()?;
        self.tracing =
            Some(Tracing { records: sender, routes: BTreeMap::new(), backends: BTreeMap::new(), boot, lost });
        self.name_events();
        // Of those who listened before.
        drop(self.datapath.read_events());
        self.datapath.set_traced(true)?;
        Ok(receiver)
    }

    /// Passes on the events that are there, and tells what was lost; ends it when nobody listens any more.
    pub(super) fn serve_listeners(&mut self) {
        self.pass_events_on();
        if self.state.listeners != self.listeners() {
            self.publish();
        }
        let lost = self.lost();
        let Some(tracing) = &mut self.tracing else { return };
        if tracing.records.receiver_count() == 0 {
            self.tracing = None;
            if let Err(error) = self.datapath.set_traced(false) {
                warn!("cannot switch events off: {error:#}");
            }
            return;
        }
        match lost {
            Ok(lost) if lost > tracing.lost => {
                tracing.send(Record::Lost { records: lost - tracing.lost });
                tracing.lost = lost;
            }
            Ok(_) => {}
            Err(error) => warn!("cannot tell how many events were lost: {error:#}"),
        }
    }

    fn pass_events_on(&mut self) {
        let Some(tracing) = &mut self.tracing else { return };
        let events = self.datapath.read_events();
        for record in events.iter().filter_map(|event| tracing.record(event)) {
            tracing.send(record);
        }
    }

    /// What events are about, after each change of the routes.
    pub(super) fn name_events(&mut self) {
        if self.tracing.is_none() {
            return;
        }
        let workloads: Vec<_> = self.workloads().collect();
        let Some(tracing) = &mut self.tracing else { return };
        tracing.routes.clear();
        for workload in &workloads {
            for (index, route) in workload.routes.routes.iter().enumerate() {
                tracing.routes.entry(workload.key(route)).or_insert((Arc::clone(&workload.routes), index));
            }
        }
        tracing.backends = self.layout.slots().map(|(_, name, slot)| (slot, name.target.clone())).collect();
    }

    fn lost(&self) -> Result<u64> {
        let counters = self.datapath.counters()?;
        let lost = counters.iter().find(|count| count.counter == Counter::Untraced);
        Ok(lost.context("there is no such counter")?.value)
    }
}

impl Tracing {
    /// Nobody may be there any more.
    fn send(&self, record: Record) {
        drop(self.records.send(Arc::new(record)));
    }

    fn record(&self, event: &Event) -> Option<Record> {
        let time = timestamp(self.boot + Duration::from_nanos(event.time));
        let cookie = event.cookie;
        let outcome = match EventKind::new(event.kind)? {
            EventKind::Routed | EventKind::NoEndpoint => {
                return Some(Record::Decision(self.decision(event, time)));
            }
            EventKind::Established => Outcome::Established,
            EventKind::Refused => Outcome::Refused,
            EventKind::Unreachable => Outcome::Unreachable,
            EventKind::TimedOut => Outcome::TimedOut,
            EventKind::Aborted => Outcome::Aborted,
            EventKind::Unsent => Outcome::Unsent,
            EventKind::Failed => Outcome::Failed,
        };
        let microseconds = (outcome != Outcome::Unsent).then_some(event.latency);
        let (dialled, endpoint) = (event.dialled.into(), event.chosen.into());
        Some(Record::End { cookie, time, dialled, endpoint, outcome, microseconds })
    }

    fn decision(&self, event: &Event, time: jiff::Timestamp) -> Decision {
        let key = RouteKey { dialled: event.dialled, workload: event.workload };
        let route = self.routes.get(&key);
        let destination = route.map(|(routes, index)| &routes.routes[*index].destination);
        let command = event.command.map(u64::to_ne_bytes).concat();
        let end = command.iter().position(|&byte| byte == 0).unwrap_or(command.len());
        Decision {
            cookie: event.cookie,
            time,
            pid: (event.pid != 0).then_some(event.pid),
            command: String::from_utf8_lossy(&command[..end]).into_owned(),
            dataplane: route.map(|(routes, _)| routes.dataplane.clone()).unwrap_or_default(),
            service: destination.map(|destination| destination.service.to_string()).unwrap_or_default(),
            dialled: event.dialled.into(),
            policies: destination.map(|destination| destination.policies.clone()).unwrap_or_default(),
            backend: self.backends.get(&event.outcomes).cloned(),
            endpoint: (event.chosen != SocketAddress::NOWHERE).then(|| event.chosen.into()),
        }
    }
}
