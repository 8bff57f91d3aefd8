//! The metrics of what became of connections, by route and backendRef. A route to which nobody has connected has none
//! yet, and there is a bound to how many have: there may be millions of them.

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::Detail;
use crate::outcomes::{Latency, Outcomes, RouteOutcomes, WorkloadOutcomes, float};

/// Of one route, or of one service if that is all the detail that is asked for.
type Labels = Vec<(&'static str, String)>;

/// Of which several cgroups may have one.
#[derive(Debug, Default)]
struct Route {
    backends: BTreeMap<String, Backend>,
    /// How often any was chosen since the comparison with the weights began.
    chosen: u64,
}

/// Several backendRefs of a route may have the same target.
#[derive(Debug, Default)]
struct Backend {
    weight: u64,
    chosen: u64,
    total: Outcomes,
}

#[derive(Debug)]
pub(super) struct OutcomeMetrics {
    routes: BTreeMap<Labels, Route>,
    detail: Detail,
    /// BackendRefs beyond the bound.
    left_out: usize,
}

impl OutcomeMetrics {
    /// Of no more than so many backendRefs, or services.
    pub(super) fn new(workloads: &[WorkloadOutcomes], detail: Detail, most: usize) -> Self {
        let mut routes = BTreeMap::<Labels, Route>::new();
        for workload in workloads {
            for route in workload.routes.iter().filter(|route| route.chosen() > 0) {
                let of = routes.entry(labels(workload, route, detail)).or_default();
                for (target, backend) in backends(route, detail) {
                    let sum = of.backends.entry(target).or_default();
                    sum.total += backend.total;
                    sum.chosen += backend.chosen;
                    of.chosen += backend.chosen;
                    // It is one configuration, in however many cgroups.
                    sum.weight = backend.weight;
                }
            }
        }
        let mut seen = 0;
        let count = routes.values().map(|route| route.backends.len()).sum::<usize>();
        routes.retain(|_, route| {
            let fits = seen + route.backends.len() <= most;
            seen += if fits { route.backends.len() } else { 0 };
            fits
        });
        Self { routes, detail, left_out: count - seen }
    }

    /// Each backendRef with its labels, or each service.
    fn all(&self) -> impl Iterator<Item = (Labels, &Route, &Backend)> {
        let by_backend = self.detail.has_backends();
        self.routes.iter().flat_map(move |(labels, route)| {
            route.backends.iter().map(move |(target, backend)| {
                let mut labels = labels.clone();
                if by_backend {
                    labels.push(("backend", target.clone()));
                }
                (labels, route, backend)
            })
        })
    }

    /// Those of which there is nothing to tell are left out.
    fn family<M: EncodeMetric>(
        &self,
        encoder: &mut DescriptorEncoder,
        (name, help, unit): (&str, &str, Option<&Unit>),
        metric: impl Fn(&Route, &Backend) -> Option<M>,
    ) -> fmt::Result {
        let told = self.all().filter_map(|(labels, of, backend)| Some((labels, metric(of, backend)?)));
        let mut told = told.peekable();
        let Some((_, first)) = told.peek() else { return Ok(()) };
        let mut family = encoder.encode_descriptor(name, help, unit, first.metric_type())?;
        for (labels, metric) in told {
            metric.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Each connection that was meant for a backendRef, once it is known what came of it. What has come of none is not
    /// told, but for the one that is hoped for.
    fn ends(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let mut all = self.all().peekable();
        if all.peek().is_none() {
            return Ok(());
        }
        let help = "Connections to the backendRef, by what came of them.";
        let mut family = encoder.encode_descriptor("connections", help, None, MetricType::Counter)?;
        for (labels, _, Backend { total, .. }) in all {
            let ends = [
                ("refused", total.refused),
                ("unreachable", total.unreachable),
                ("timed_out", total.timed_out),
                ("aborted", total.aborted),
                ("unsent", total.unsent),
                ("failed", total.failed),
                ("elsewhere", total.elsewhere),
                ("no_endpoint", total.no_endpoint),
            ];
            let ends = ends.into_iter().filter(|(_, count)| *count > 0);
            for (outcome, count) in [("established", total.established)].into_iter().chain(ends) {
                let mut labels = labels.clone();
                labels.push(("outcome", outcome.to_owned()));
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn labels(workload: &WorkloadOutcomes, route: &RouteOutcomes, detail: Detail) -> Labels {
    let mut labels = vec![
        ("mesh", workload.mesh.clone()),
        ("dataplane", workload.dataplane.clone()),
        ("service", route.service.clone()),
    ];
    if detail.has_backends() {
        labels.push(("dialled", route.dialled().to_string()));
    }
    labels
}

/// By target; what is refused for want of any weight has none. In less detail all are one.
fn backends(route: &RouteOutcomes, detail: Detail) -> BTreeMap<String, Backend> {
    let mut all = BTreeMap::<String, Backend>::new();
    let key = |target: &str| if detail.has_backends() { target.to_owned() } else { String::new() };
    for backend in &route.backends {
        let Some(total) = backend.total else { continue };
        let sum = all.entry(key(&backend.target)).or_default();
        sum.total += total;
        sum.weight += u64::from(backend.weight);
        sum.chosen += backend.outcomes.filter(|_| backend.weight > 0).map_or(0, |outcomes| outcomes.chosen());
    }
    if route.unweighted_total > 0 {
        let total = Outcomes { no_endpoint: route.unweighted_total, ..Outcomes::default() };
        all.entry(String::new()).or_default().total += total;
    }
    all
}

impl Collector for OutcomeMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        self.ends(encoder)?;
        let what = ("open_connections", "Connections that are established at present.", None);
        self.family(encoder, what, |_, backend| Some(ConstGauge::new(backend.total.open)))?;
        let help = "From the first SYN to the end of the handshake.";
        let what = ("connect_duration", help, Some(&Unit::Seconds));
        self.family(encoder, what, |_, backend| Some(backend.total.latency))?;
        if self.detail.has_backends() {
            let what = ("backend_weight", "Its weight in the policy.", None);
            self.family(encoder, what, |_, backend| Some(ConstGauge::new(backend.weight)))?;
            let help = "Its part of the connections since the weights are what they are.";
            self.family(encoder, ("backend_share_observed", help, None), |route, backend| {
                observed(route, backend).map(ConstGauge::new)
            })?;
        }
        let help = "BackendRefs, or services, of which there are no metrics, since there are too many.";
        let left_out = ConstGauge::new(self.left_out as u64);
        left_out.encode(encoder.encode_descriptor("backends_left_out", help, None, MetricType::Gauge)?)
    }
}

/// None while nobody has connected since then.
fn observed(route: &Route, backend: &Backend) -> Option<f64> {
    (route.chosen > 0).then(|| float(backend.chosen) / float(route.chosen))
}

/// In microseconds: where the buckets end that are told, which are fewer than those that are counted.
const BOUNDS: [u64; 7] = [1 << 7, 1 << 9, 1 << 11, 1 << 13, 1 << 15, 1 << 17, 1 << 20];

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        let mut buckets: Vec<(f64, u64)> = BOUNDS.iter().map(|&bound| (float(bound) / 1e6, 0)).collect();
        buckets.push((f64::INFINITY, 0));
        for (bucket, &count) in self.buckets.iter().enumerate() {
            let end = Self::bound(bucket).map(|bound| bound.as_micros());
            let place = BOUNDS.iter().position(|&bound| end.is_some_and(|end| end <= u128::from(bound)));
            buckets[place.unwrap_or(BOUNDS.len())].1 += count;
        }
        let count = self.buckets.iter().sum();
        encoder.encode_histogram::<NoLabelSet>(float(self.sum_us) / 1e6, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;
    use crate::outcomes::BackendOutcomes;

    fn backend(target: &str, weight: u32, established: u64) -> BackendOutcomes {
        let mut latency = Latency { sum_us: 1500 * established, ..Latency::default() };
        latency.buckets[11] = established;
        let outcomes = Outcomes {
            attempted: established,
            established,
            open: established,
            latency,
            ..Outcomes::default()
        };
        let (outcomes, total) = (Some(outcomes), Some(outcomes));
        BackendOutcomes { target: target.to_owned(), weight, share: 0.5, outcomes, total }
    }

    fn route(port: u16, backends: Vec<BackendOutcomes>) -> RouteOutcomes {
        RouteOutcomes {
            service: "db".to_owned(),
            address: [127, 0, 0, 1].into(),
            port,
            selection: "random".to_owned(),
            since: None,
            split: None,
            unweighted: 0,
            unweighted_total: 0,
            backends,
        }
    }

    fn workload(cgroup: &str, routes: Vec<RouteOutcomes>) -> WorkloadOutcomes {
        let (mesh, dataplane) = ("default".to_owned(), "web".to_owned());
        WorkloadOutcomes { mesh, dataplane, cgroup: cgroup.into(), routes }
    }

    fn text(workloads: &[WorkloadOutcomes], detail: Detail, most: usize) -> String {
        let mut registry = Registry::with_prefix("tcproute");
        registry.register_collector(Box::new(OutcomeMetrics::new(workloads, detail, most)));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[track_caller]
    fn has(text: &str, lines: &[String]) {
        for line in lines {
            assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
        }
    }

    #[test]
    fn cgroups_of_a_dataplane_and_backend_refs_of_a_target_are_one() {
        let backends = || vec![backend("v1", 2, 2), backend("v2", 3, 0), backend("v1", 1, 1)];
        let unused = || route(1, vec![backend("v3", 1, 0)]);
        let both = ["/a", "/b"].map(|cgroup| workload(cgroup, vec![route(5432, backends()), unused()]));
        let text = text(&both, Detail::Backends, 100);
        let route = r#"mesh="default",dataplane="web",service="db",dialled="127.0.0.1:5432""#;
        let [v1, v2] = ["v1", "v2"].map(|target| format!("{route},backend=\"{target}\""));
        has(
            &text,
            &[
                format!("tcproute_connections_total{{{v1},outcome=\"established\"}} 6"),
                format!("tcproute_connections_total{{{v2},outcome=\"established\"}} 0"),
                format!("tcproute_open_connections{{{v1}}} 6"),
                format!("tcproute_backend_weight{{{v1}}} 3"),
                format!("tcproute_backend_share_observed{{{v1}}} 1.0"),
                format!("tcproute_backend_share_observed{{{v2}}} 0.0"),
                format!("tcproute_connect_duration_seconds_sum{{{v1}}} 0.009"),
                format!("tcproute_connect_duration_seconds_bucket{{le=\"0.000512\",{v1}}} 0"),
                format!("tcproute_connect_duration_seconds_bucket{{le=\"0.002048\",{v1}}} 6"),
                format!("tcproute_connect_duration_seconds_bucket{{le=\"+Inf\",{v1}}} 6"),
            ],
        );
        assert!(!text.contains("refused") && !text.contains("v3"), "{text}");
        assert_eq!(text.matches("_bucket{").count(), 2 * 8);
    }

    #[test]
    fn in_less_detail_a_service_is_one() {
        let routes = vec![
            route(1, vec![backend("v1", 1, 1), backend("v2", 1, 2)]),
            route(2, vec![backend("v1", 1, 4)]),
        ];
        let text = text(&[workload("/a", routes)], Detail::Services, 100);
        let labels = r#"mesh="default",dataplane="web",service="db""#;
        has(&text, &[format!("tcproute_connections_total{{{labels},outcome=\"established\"}} 7")]);
        assert!(!text.contains("backend=") && !text.contains("dialled="), "{text}");
    }

    #[test]
    fn what_is_refused_for_want_of_a_weight_is_told() {
        let route = RouteOutcomes { unweighted_total: 9, ..route(1, vec![backend("v1", 0, 0)]) };
        let text = text(&[workload("/a", vec![route])], Detail::Backends, 100);
        assert!(text.contains(r#"backend="",outcome="no_endpoint"} 9"#), "{text}");
    }

    #[test]
    fn those_beyond_the_bound_are_left_out_and_counted() {
        let routes = (1..=10).map(|port| route(port, vec![backend("v1", 1, 1), backend("v2", 1, 1)]));
        let workload = workload("/a", routes.collect());
        for (most, shown) in [(0, 0), (7, 3), (20, 10)] {
            let text = text(std::slice::from_ref(&workload), Detail::Backends, most);
            assert_eq!(text.matches("_seconds_sum{").count(), 2 * shown);
            has(&text, &[format!("tcproute_backends_left_out {}", 20 - 2 * shown)]);
        }
    }
}
