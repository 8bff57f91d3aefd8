//! `/metrics`. What is counted elsewhere, in the kernel or by the agent, is read when it is scraped.

use std::{collections::BTreeMap, fmt, sync::Arc};

use anyhow::Result;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::Registry,
};
use tcproute_common::Counter;

use super::{
    connections::Connections,
    outcome_metrics::OutcomeMetrics,
    own_metrics::OwnMetrics,
    process_metrics::ProcessMetrics,
    share_metrics::ShareMetrics,
    status::{MapUse, maps},
};
use crate::{
    agent::{Handle, Reconciles, SharesState, State},
    bpf::CounterValue,
    outcomes::WorkloadOutcomes,
    sources::{dns::SHARE, name::SourceName, snapshot::Bytes},
};

/// Of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text of all metrics.
pub(super) fn text(
    handle: &Handle,
    counters: &[CounterValue],
    outcomes: &[WorkloadOutcomes],
    shares: SharesState,
    attached: &[bool],
    connections: Arc<[Arc<Connections>]>,
) -> Result<String> {
    let snapshot = Snapshot::new(&handle.state(), counters, attached);
    let collectors: [Box<dyn Collector>; 5] = [
        Box::new(snapshot),
        Box::new(OwnMetrics(connections)),
        Box::new(ProcessMetrics),
        Box::new(OutcomeMetrics::new(outcomes)),
        Box::new(ShareMetrics(shares)),
    ];
    encoded(handle.reconciles(), collectors)
}

fn encoded(reconciles: &Reconciles, collectors: [Box<dyn Collector>; 5]) -> Result<String> {
    let mut registry = Registry::with_prefix("tcproute");
    registry.register(
        "build",
        "The version of tcproute",
        Info::new([("version", env!("CARGO_PKG_VERSION"))]),
    );
    reconciles.register(&mut registry);
    for collector in collectors {
        registry.register_collector(collector);
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// Values that are kept elsewhere.
#[derive(Debug)]
struct Snapshot {
    decisions: Vec<(&'static str, u64)>,
    states: Vec<(&'static str, u64)>,
    maps: Vec<MapUse>,
    /// By source and kind.
    rejected: BTreeMap<(&'static str, &'static str), u32>,
    denied: Vec<(&'static str, u32)>,
    bytes: Vec<(SourceName, Bytes)>,
    gauges: [Gauge; 20],
    last_reconcile: f64,
    events_lost: u64,
    led_elsewhere: u64,
    ejections: Option<u64>,
    drained: Option<u64>,
}

impl Snapshot {
    fn new(state: &State, counters: &[CounterValue], attached: &[bool]) -> Self {
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
            bytes: state.sources.iter().filter_map(|source| Some((source.name, source.bytes?))).collect(),
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

fn gauges(state: &State, attached: &[bool]) -> [Gauge; 20] {
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
        let bytes = self.bytes.iter().map(|(source, bytes)| (*source, ConstGauge::new(bytes.read)));
        let help = "What is read of a source; a small file counts as 1 KiB.";
        family(&mut encoder, "source_bytes", help, "source", bytes)?;
        let most = self.bytes.iter().map(|(source, bytes)| (*source, ConstGauge::new(bytes.most)));
        family(&mut encoder, "source_most_bytes", "What may be read of it.", "source", most)?;
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
        let last = ConstGauge::new(self.last_reconcile);
        let (name, help) = ("last_reconcile_timestamp_seconds", "When something outside last changed.");
        last.encode(encoder.encode_descriptor(name, help, None, last.metric_type())?)?;
        let decisions = self.decisions.iter().map(|&(name, value)| (name, ConstCounter::new(value)));
        let help = "Decisions of the programs at connect().";
        family(&mut encoder, "connections", help, "decision", decisions)?;
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

/// One metric for each value of a label.
pub(super) fn family<'a, M: EncodeMetric>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    label: &str,
    values: impl Iterator<Item = (&'a str, M)>,
) -> Result<(), fmt::Error> {
    let mut values = values.peekable();
    let Some((_, first)) = values.peek() else { return Ok(()) };
    let mut family = encoder.encode_descriptor(name, help, None, first.metric_type())?;
    for (value_of_label, metric) in values {
        metric.encode(family.encode_family(&[(label, value_of_label)])?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{
        agent::WorkloadShare,
        bpf::Taken,
        outcomes::{BackendOutcomes, Outcomes, RouteOutcomes},
    };

    const PAGE: &str = include_str!("../../../docs/reference/metrics.md");

    /// By name: what kind it is, and its labels.
    type Metrics<'t> = BTreeMap<String, (&'t str, BTreeSet<&'t str>)>;

    /// Of a daemon that has something to tell of everything.
    fn all() -> String {
        let counters = Counter::ALL.map(|counter| CounterValue { counter, value: 1 });
        let snapshot = Snapshot {
            maps: vec![MapUse { name: "routes".to_owned(), entries: 1, capacity: 2 }],
            rejected: BTreeMap::from([(("files", "Mesh"), 1)]),
            denied: vec![("loopback", 1)],
            bytes: vec![("files", Bytes { read: 1, most: 2 })],
            ejections: Some(1),
            drained: Some(1),
            ..Snapshot::new(&State::default(), &counters, &[])
        };
        let outcomes = Outcomes { attempted: 1, established: 1, ..Outcomes::default() };
        let backend =
            BackendOutcomes { target: "db".to_owned(), weight: 1, share: 1.0, outcomes: Some(outcomes) };
        let route = RouteOutcomes {
            service: "db".to_owned(),
            address: [127, 0, 0, 1].into(),
            port: 5432,
            selection: "random".to_owned(),
            split: None,
            backends: vec![backend],
        };
        let (mesh, dataplane) = ("default".to_owned(), "web".to_owned());
        let share = WorkloadShare {
            mesh: mesh.clone(),
            dataplane: dataplane.clone(),
            cgroup: "/web".into(),
            taken: [Taken { entries: 1, exceeded: 1 }; 3],
        };
        let workload = WorkloadOutcomes { mesh, dataplane, cgroup: "/web".into(), routes: vec![route] };
        let shares = SharesState { most: [1; 3], workloads: vec![share] };
        let collectors: [Box<dyn Collector>; 5] = [
            Box::new(snapshot),
            Box::new(OwnMetrics(Arc::new([Connections::new("unix")]))),
            Box::new(ProcessMetrics),
            Box::new(OutcomeMetrics::new(&[workload])),
            Box::new(ShareMetrics(shares)),
        ];
        encoded(&Reconciles::default(), collectors).unwrap()
    }

    /// From the text that is scraped.
    fn told(text: &str) -> Metrics<'_> {
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let metric = |(name, kind): (&str, &'static str)| {
            let (name, sample) = match kind {
                "counter" => (format!("{name}_total"), ""),
                "info" => (format!("{name}_info"), ""),
                "histogram" => (name.to_owned(), "_sum"),
                _ => (name.to_owned(), ""),
            };
            let mut samples = text.lines().filter_map(|line| line.strip_prefix(&format!("{name}{sample}")));
            let sample = samples.find(|rest| rest.starts_with(['{', ' '])).unwrap_or_default();
            let labels = sample.strip_prefix('{').and_then(|labels| labels.split_once('}'));
            let labels = labels.into_iter().flat_map(|(labels, _)| labels.split(','));
            (name, (kind, labels.filter_map(|label| Some(label.split_once('=')?.0)).collect()))
        };
        let kinds = ["counter", "gauge", "histogram", "info"];
        types
            .map(|(name, kind)| (name, *kinds.iter().find(|known| **known == kind).unwrap()))
            .map(metric)
            .collect()
    }

    /// From the page: "- `name{labels}` (kind): what it tells".
    fn described(page: &'static str) -> Metrics<'static> {
        let items = page.lines().filter_map(|line| line.strip_prefix("- `")?.split_once("` ("));
        let metric = |(metric, rest): (&'static str, &'static str)| {
            let (name, labels) = metric.split_once('{').unwrap_or((metric, ""));
            let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
            (name.to_owned(), (rest.split_once(')').unwrap().0, labels.collect()))
        };
        items.map(metric).collect()
    }

    #[test]
    fn the_page_of_metrics_has_all_of_them_and_no_others() {
        let text = all();
        let (told, described) = (told(&text), described(PAGE));
        let only = |these: &Metrics<'_>, others: &Metrics<'_>| {
            let missing = these.iter().filter(|(name, metric)| others.get(*name) != Some(metric));
            missing.map(|metric| format!("{metric:?}")).collect::<Vec<_>>()
        };
        let differences = (only(&told, &described), only(&described, &told));
        assert!(told == described, "told, and on docs/reference/metrics.md: {differences:#?}");
    }
}
