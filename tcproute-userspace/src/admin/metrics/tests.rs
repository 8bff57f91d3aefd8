//! The page of metrics and what is scraped.

use std::collections::{BTreeMap, BTreeSet};

use tcproute_common::Counter;

use super::*;
use crate::{
    admin::status::MapUse,
    agent::{State, WorkloadShare},
    bpf::Taken,
    otlp::Told,
    outcomes::{BackendOutcomes, Outcomes, RouteOutcomes},
    sources::{
        SourceState,
        snapshot::{Bytes, Health, Kept, LastAnswer},
    },
};

const PAGE: &str = include_str!("../../../../docs/reference/metrics.md");

/// By name: what kind it is, and its labels.
type Metrics<'t> = BTreeMap<String, (&'t str, BTreeSet<&'t str>)>;

/// Of a daemon that has something to tell of everything.
fn all() -> String {
    let counters = Counter::ALL.map(|counter| CounterValue { counter, value: 1 });
    let snapshot = Snapshot {
        maps: vec![MapUse { name: "routes".to_owned(), entries: 1, capacity: 2 }],
        rejected: BTreeMap::from([(("files", "Mesh"), 1)]),
        denied: vec![("loopback", 1)],
        ejections: Some(1),
        drained: Some(1),
        ..Snapshot::new(&State::default(), &counters, &[])
    };
    let outcomes = Outcomes { attempted: 1, established: 1, ..Outcomes::default() };
    let backend = BackendOutcomes {
        target: "db".to_owned(),
        weight: 1,
        share: 1.0,
        outcomes: Some(outcomes),
        total: Some(outcomes),
    };
    let route = RouteOutcomes {
        service: "db".to_owned(),
        address: [127, 0, 0, 1].into(),
        port: 5432,
        selection: "random".to_owned(),
        since: None,
        split: None,
        unweighted: 0,
        unweighted_total: 0,
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
    let answered = LastAnswer::default();
    answered.set();
    let source = SourceState {
        name: "files",
        health: Health::Well,
        resources: 1,
        changed: std::time::SystemTime::UNIX_EPOCH,
        kept: Kept::default(),
        bytes: Some(Bytes { read: 1, most: 2 }),
        answered,
        server: None,
    };
    let endpoint = EndpointConnections {
        mesh: workload.mesh.clone(),
        dataplane: workload.dataplane.clone(),
        service: "db".to_owned(),
        dialled: "127.0.0.1:5432".parse().unwrap(),
        backend: "db".to_owned(),
        endpoint: "10.0.0.1:5432".parse().unwrap(),
        open: 1,
    };
    let exported = Told::new("http://c".to_owned()).shown();
    let collectors: [Box<dyn Collector>; 8] = [
        Box::new(EndpointMetrics::new(vec![endpoint], 10)),
        Box::new(snapshot),
        Box::new(OtlpMetrics(Some(exported))),
        Box::new(OwnMetrics(Arc::new([Connections::new("unix")]))),
        Box::new(ProcessMetrics),
        Box::new(OutcomeMetrics::new(&[workload], Detail::Backends, 10)),
        Box::new(ShareMetrics(shares)),
        Box::new(SourceMetrics(vec![source])),
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
