//! Events of the programs, with the names of what they are about, for those who listen. While nobody does, there are
//! none.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use rustc_hash::FxHashMap;
use tcproute_common::{Counter, Event, EventKind, SocketAddress};
use tokio::sync::broadcast;
use tracing::warn;

use super::in_force::InForce;
use crate::{
    bpf::events,
    routing::Destination,
    trace::{Decision, Left, Outcome, Record},
};

/// Records that a slow listener may be behind.
const BEHIND: usize = 1 << 14;

/// So far the wall clock may be from what it was.
const CLOCKS_APART: Duration = Duration::from_millis(10);

/// Those who listen.
pub(super) struct Tracing {
    records: broadcast::Sender<Arc<Record>>,
    names: Names,
    /// The wall clock at the boot.
    boot: SystemTime,
    /// Lost in the kernel, as far as it was told.
    lost: u64,
    /// The same by the number of the workload.
    lost_by: BTreeMap<u32, u64>,
}

/// What the numbers in events stand for, looked up when they are needed first after a change.
#[derive(Default)]
struct Names {
    workloads: FxHashMap<u32, Dialled>,
    backends: Option<FxHashMap<u32, String>>,
}

/// Where a Dataplane leads what it dials.
#[derive(Default)]
struct Dialled {
    mesh: String,
    dataplane: String,
    destinations: FxHashMap<SocketAddress, Arc<Destination>>,
}

impl Tracing {
    /// For the first one who listens.
    pub(super) fn begin(in_force: &mut InForce<'_>) -> Result<(Self, broadcast::Receiver<Arc<Record>>)> {
        let (records, receiver) = broadcast::channel(BEHIND);
        let boot = boot()?;
        let (lost, lost_by) = (lost(in_force)?, in_force.datapath.events_lost()?);
        // Of those who listened before.
        drop(in_force.datapath.read_events()?);
        in_force.datapath.set_traced(true)?;
        Ok((Self { records, names: Names::default(), boot, lost, lost_by }, receiver))
    }

    /// For one more.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Record>> {
        self.records.subscribe()
    }

    /// How many there are.
    pub(super) fn listeners(&self) -> usize {
        self.records.receiver_count()
    }

    /// Routes have changed.
    pub(super) fn forget_names(&mut self) {
        self.names = Names::default();
    }

    /// Passes on the events that are there, and tells what was lost.
    pub(super) fn serve(&mut self, in_force: &mut InForce<'_>) {
        self.set_clock();
        match in_force.datapath.read_events() {
            Ok(events) => {
                let records: Vec<Record> =
                    events.iter().filter_map(|event| self.record(event, in_force)).collect();
                for record in records {
                    self.send(record);
                }
            }
            Err(error) => warn!("cannot read events: {error:#}"),
        }
        if let Err(error) = self.tell_lost(in_force) {
            warn!("cannot tell how many events were lost: {error:#}");
        }
    }

    /// Somebody may listen for weeks, and the wall clock be set meanwhile. What differs by less is left, so that of two
    /// times none is before the other that was after it.
    fn set_clock(&mut self) {
        let Ok(boot) = boot() else { return };
        let difference = boot.duration_since(self.boot).unwrap_or_else(|error| error.duration());
        if difference > CLOCKS_APART {
            self.boot = boot;
        }
    }

    /// Tells what was lost since the last time, of each workload for itself.
    fn tell_lost(&mut self, in_force: &InForce<'_>) -> Result<()> {
        let lost = lost(in_force)?;
        if lost <= self.lost {
            return Ok(());
        }
        let by = in_force.datapath.events_lost()?;
        let mut left = lost - self.lost;
        for (&workload, &now) in &by {
            let before = self.lost_by.get(&workload).copied().unwrap_or(0);
            // What is lost meanwhile is told the next time.
            let records = now.saturating_sub(before).min(left);
            if records > 0 {
                left -= records;
                *self.lost_by.entry(workload).or_default() = before + records;
                let of = in_force.workload(workload).and_then(|(_, workload)| workload.routes.as_ref());
                self.send(Record::Lost { records, dataplane: of.map(|routes| routes.dataplane.clone()) });
            }
        }
        self.lost_by.retain(|workload, _| by.contains_key(workload));
        if left > 0 {
            self.send(Record::Lost { records: left, dataplane: None });
        }
        self.lost = lost;
        Ok(())
    }

    /// Nobody may be there any more.
    fn send(&self, record: Record) {
        drop(self.records.send(Arc::new(record)));
    }

    fn record(&mut self, event: &Event, in_force: &InForce<'_>) -> Option<Record> {
        let time = microseconds(self.boot + Duration::from_nanos(event.time));
        let cookie = event.cookie;
        let outcome = match EventKind::new(event.kind)? {
            EventKind::Routed
            | EventKind::NoEndpoint
            | EventKind::SourceBound
            | EventKind::Held
            | EventKind::MarkTaken => {
                return Some(Record::Decision(self.names.decision(event, time, in_force)));
            }
            EventKind::Established => Outcome::Established,
            EventKind::Refused => Outcome::Refused,
            EventKind::Unreachable => Outcome::Unreachable,
            EventKind::TimedOut => Outcome::TimedOut,
            EventKind::Aborted => Outcome::Aborted,
            EventKind::Unsent => Outcome::Unsent,
            EventKind::Failed => Outcome::Failed,
            EventKind::Elsewhere => Outcome::Elsewhere,
        };
        let had_syn = !matches!(outcome, Outcome::Unsent | Outcome::Elsewhere);
        let microseconds = had_syn.then_some(event.latency);
        let (dialled, endpoint) = (event.dialled.into(), event.chosen.into());
        Some(Record::End { cookie, time, dialled, endpoint, outcome, microseconds })
    }
}

impl Names {
    fn decision(&mut self, event: &Event, time: Timestamp, in_force: &InForce<'_>) -> Decision {
        let dials = self.workloads.entry(event.workload).or_insert_with(|| dialled(event.workload, in_force));
        let destination = dials.destinations.get(&event.dialled);
        let of_destination = |name: &String| if destination.is_some() { name.clone() } else { String::new() };
        let backends = self.backends.get_or_insert_with(|| {
            in_force.layout.counted().map(|(_, name, at)| (at, name.target.clone())).collect()
        });
        let command = event.command.map(u64::to_ne_bytes).concat();
        let end = command.iter().position(|&byte| byte == 0).unwrap_or(command.len());
        Decision {
            cookie: event.cookie,
            time,
            pid: (event.pid != 0).then_some(event.pid),
            command: String::from_utf8_lossy(&command[..end]).into_owned(),
            mesh: of_destination(&dials.mesh),
            dataplane: of_destination(&dials.dataplane),
            service: destination.map(|destination| destination.service.to_string()).unwrap_or_default(),
            dialled: event.dialled.into(),
            policies: destination.map(|destination| destination.policies.clone()).unwrap_or_default(),
            backend: backends.get(&event.outcomes).cloned(),
            endpoint: (event.chosen != SocketAddress::NOWHERE).then(|| event.chosen.into()),
            left: match EventKind::new(event.kind) {
                Some(EventKind::SourceBound) => Some(Left::SourceBound),
                Some(EventKind::Held) => Some(Left::Held),
                Some(EventKind::MarkTaken) => Some(Left::MarkTaken),
                _ => None,
            },
        }
    }
}

fn dialled(workload: u32, in_force: &InForce<'_>) -> Dialled {
    let workload = in_force.workload(workload);
    let Some(routes) = workload.and_then(|(_, workload)| workload.routes.as_ref()) else {
        return Dialled::default();
    };
    let destinations =
        routes.routes.iter().map(|route| (route.dialled.into(), Arc::clone(&route.destination)));
    Dialled {
        mesh: routes.mesh.to_string(),
        dataplane: routes.dataplane.clone(),
        destinations: destinations.collect(),
    }
}

/// The wall clock at the boot, as far as events tell of it.
fn boot() -> Result<SystemTime> {
    Ok(SystemTime::now() - Duration::from_nanos(events::now()?))
}

/// As exact as what connections take.
fn microseconds(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let microseconds = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn lost(in_force: &InForce<'_>) -> Result<u64> {
    let counters = in_force.datapath.counters()?;
    let lost = counters.iter().find(|count| count.counter == Counter::Untraced);
    Ok(lost.context("there is no such counter")?.value)
}
