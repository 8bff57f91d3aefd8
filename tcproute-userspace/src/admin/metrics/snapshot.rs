//! What the agent and the programs have at the moment of the scrape.

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use tcproute_common::Counter;

use super::family::family;
use crate::{
    admin::status::{MapUse, maps},
    agent::State,
    bpf::CounterValue,
    sidecar::{self, name_of},
    sources::dns::SHARE,
};

/// Values that are kept elsewhere.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) decisions: Vec<(&'static str, u64)>,
    pub(super) states: Vec<(&'static str, u64)>,
    pub(super) maps: Vec<MapUse>,
    /// By source and kind.
    pub(super) rejected: BTreeMap<(&'static str, &'static str), u32>,
    pub(super) denied: Vec<(&'static str, u32)>,
    /// By what becomes of routed connections.
    pub(super) namespaces: Vec<(&'static str, u64)>,
    pub(super) gauges: [Gauge; 21],
    pub(super) last_reconcile: f64,
    pub(super) events_lost: u64,
    pub(super) led_elsewhere: u64,
    pub(super) ejections: Option<u64>,
    pub(super) drained: Option<u64>,
}

impl Snapshot {
    pub(super) fn new(state: &State, counters: &[CounterValue], attached: &[bool]) -> Self {
        let mut decisions = Vec::new();
        let mut states = Vec::new();
        let mut events_lost = 0;
        let mut led_elsewhere = 0;
        for &CounterValue { counter, value } in counters {
            match counter {
                Counter::Routed => decisions.push(("routed", value)),
                Counter::Refused => decisions.push(("refused", value)),
                Counter::Internal => decisions.push(("internal_error", value)),
                Counter::SourceBound => decisions.push(("source_bound", value)),
                Counter::Held => decisions.push(("held", value)),
                Counter::MarkTaken => decisions.push(("mark_taken", value)),
                Counter::Elsewhere => led_elsewhere = value,
                Counter::Overflowed => states.push(("overflow", value)),
                Counter::Untraced => events_lost = value,
                Counter::Unrecorded => states.push(("nowhere", value)),
            }
        }
        let last = state.last.map_or(0.0, |last| {
            let since = last.at.duration_since(std::time::UNIX_EPOCH);
            since.map_or(0.0, |since| since.as_secs_f64())
        });
        let mut rejected = BTreeMap::new();
        for (subject, rejection) in &state.rejected {
            *rejected.entry((rejection.source, subject.kind().unwrap_or("unknown"))).or_default() += 1;
        }
        Self {
            decisions,
            states,
            maps: maps(state),
            rejected,
            denied: state.denied.iter().map(|(why, &count)| (why.name(), count)).collect(),
            namespaces: sidecar::WAYS.map(|way| (name_of(way), state.sidecars.count(way))).to_vec(),
            gauges: gauges(state, attached),
            last_reconcile: last,
            events_lost,
            led_elsewhere,
            ejections: state.ejections,
            drained: state.drain.map(|drain| drain.closed),
        }
    }
}

/// Name, explanation and value.
type Gauge = (&'static str, &'static str, u64);

fn gauges(state: &State, attached: &[bool]) -> [Gauge; 21] {
    let flag = u64::from;
    let count = |count: usize| count as u64;
    let keeping = || state.sources.iter().filter_map(|source| source.kept.keeping.as_ref());
    let routes = state.workloads.values().map(|workload| workload.routes.routes.len()).sum();
    [
        ("ready", "Whether the kernel holds what was resolved.", flag(state.ready)),
        (
            "source_errors",
            "Whether anything of the resources cannot be used.",
            flag(!state.missing.is_empty() || !state.rejected.is_empty()),
        ),
        (
            "stale_resources",
            "Resources that are as an earlier daemon has read them: their source has not told them since.",
            count(state.sources.iter().map(|source| source.kept.stale).sum()),
        ),
        (
            "last_good_kept",
            "Whether all that sources have said is kept for the next start.",
            flag(keeping().all(|keeping| keeping.whole)),
        ),
        ("last_good_bytes", "What is kept for the next start.", keeping().map(|it| it.bytes.0).sum()),
        ("last_good_most_bytes", "What may be kept.", keeping().map(|it| it.bytes.1).sum()),
        ("workloads", "Local workloads.", count(state.workloads.len())),
        (
            "workloads_attached",
            "Local workloads whose cgroup has the programs.",
            count(attached.iter().filter(|attached| **attached).count()),
        ),
        (
            "workloads_late",
            "Local workloads in whose cgroup processes were before the programs.",
            count(state.workloads.values().filter(|workload| workload.late).count()),
        ),
        (
            "workloads_failing",
            "Local workloads that are not attached, or have not the routes that they shall have.",
            count(state.unattached.len()),
        ),
        (
            "pinned",
            "Whether what is in force outlives the daemon, as far as bpffs goes.",
            flag(state.unpinned.is_none()),
        ),
        ("outbounds", "Outbounds of all local workloads.", count(routes)),
        (
            "routes_beyond_quota",
            "Routes that are left to the proxy, since a workload may take no more.",
            count(state.workloads.values().map(|workload| workload.beyond).sum()),
        ),
        ("map_memory_bytes", "What the maps that grow take when they are full.", state.map_memory.0),
        ("map_memory_most_bytes", "What they may take.", state.map_memory.1),
        ("dns_names", "DNS names that are looked up.", count(state.names.names)),
        (
            "dns_names_largest_share",
            "How many of them the local Dataplane has that has the most.",
            count(state.names.largest),
        ),
        ("dns_names_most_of_share", "How many one may have.", count(SHARE)),
        (
            "dns_names_left_out",
            "DNS names that are not looked up, since their Dataplane may have no more.",
            count(state.names.left_out.values().sum()),
        ),
        (
            "ejected_endpoints",
            "Endpoints that are out for a while, since they do not answer.",
            count(state.ejected.len()),
        ),
        ("trace_listeners", "Listeners to decisions; events are made for them only.", count(state.listeners)),
    ]
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        for (name, help, value) in self.gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        if !self.rejected.is_empty() {
            let (name, help) = ("rejected", "What sources have that cannot be used.");
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (&(source, kind), &count) in &self.rejected {
                let labels = [("source", source), ("kind", kind)];
                ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let denied = self.denied.iter().map(|&(why, count)| (why, ConstGauge::new(count)));
        let help = "Addresses of resources that do not count, by why.";
        family(&mut encoder, "denied_addresses", help, "reason", denied)?;
        let namespaces = self.namespaces.iter().map(|&(way, count)| (way, ConstGauge::new(count)));
        let help = "Network namespaces of workloads and the host, by what becomes of routed connections.";
        family(&mut encoder, "network_namespaces", help, "way", namespaces)?;
        let last = ConstGauge::new(self.last_reconcile);
        let (name, help) = ("last_reconcile_timestamp_seconds", "When something outside last changed.");
        last.encode(encoder.encode_descriptor(name, help, None, last.metric_type())?)?;
        let decisions = self.decisions.iter().map(|&(name, value)| (name, ConstCounter::new(value)));
        let help = "Decisions of the programs at connect().";
        family(&mut encoder, "decisions", help, "decision", decisions)?;
        let states = self.states.iter().map(|&(name, value)| (name, ConstCounter::new(value)));
        let help = "States of routed connections that are not in their own place.";
        family(&mut encoder, "connection_states", help, "place", states)?;
        let elsewhere = ConstCounter::new(self.led_elsewhere);
        let name = "connections_led_elsewhere";
        let help = "Connections that another program has led elsewhere after the decision.";
        elsewhere.encode(encoder.encode_descriptor(name, help, None, elsewhere.metric_type())?)?;
        let lost = ConstCounter::new(self.events_lost);
        let (name, help) = ("trace_events_lost", "Events for `tcproute trace` that found no room.");
        lost.encode(encoder.encode_descriptor(name, help, None, lost.metric_type())?)?;
        if let Some(ejections) = self.ejections {
            let ejections = ConstCounter::new(ejections);
            let (name, help) = ("ejections", "How often an endpoint was taken out.");
            ejections.encode(encoder.encode_descriptor(name, help, None, ejections.metric_type())?)?;
        }
        if let Some(drained) = self.drained {
            let drained = ConstCounter::new(drained);
            let (name, help) =
                ("drained_connections", "Connections that were closed, since their endpoint has left.");
            drained.encode(encoder.encode_descriptor(name, help, None, drained.metric_type())?)?;
        }
        let entries = self.maps.iter().map(|map| (map.name.as_str(), ConstGauge::new(map.entries)));
        family(&mut encoder, "map_entries", "Entries of a map that are taken.", "map", entries)?;
        let capacity = self.maps.iter().map(|map| (map.name.as_str(), ConstGauge::new(map.capacity)));
        family(&mut encoder, "map_capacity", "Entries that a map was made for.", "map", capacity)
    }
}
