//! The metrics of what became of connections, by backendRef. One that was never chosen has none yet: there may be
//! millions of them.

use std::{collections::BTreeMap, fmt, net::SocketAddr};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use crate::outcomes::{BackendOutcomes, Latency, Outcomes, RouteOutcomes, WorkloadOutcomes, float};

/// Of one backendRef.
type Labels = [(&'static str, String); 6];

#[derive(Debug)]
pub(super) struct OutcomeMetrics(BTreeMap<Labels, Outcomes>);

impl OutcomeMetrics {
    pub(super) fn new(workloads: &[WorkloadOutcomes]) -> Self {
        let mut metrics = BTreeMap::<Labels, Outcomes>::new();
        for workload in workloads {
            for route in &workload.routes {
                for backend in &route.backends {
                    if let Some(outcomes) = backend.outcomes.filter(|outcomes| outcomes.chosen() > 0) {
                        // Two backendRefs of a route may have the same target.
                        *metrics.entry(labels(workload, route, backend)).or_default() += outcomes;
                    }
                }
            }
        }
        Self(metrics)
    }

    fn family<M: EncodeMetric>(
        &self,
        encoder: &mut DescriptorEncoder,
        (name, help, unit): (&str, &str, Option<&Unit>),
        metric: impl Fn(&Outcomes) -> M,
    ) -> fmt::Result {
        let Some(first) = self.0.values().next() else { return Ok(()) };
        let mut family = encoder.encode_descriptor(name, help, unit, metric(first).metric_type())?;
        for (labels, outcomes) in &self.0 {
            metric(outcomes).encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }
}

fn labels(workload: &WorkloadOutcomes, route: &RouteOutcomes, backend: &BackendOutcomes) -> Labels {
    [
        ("mesh", workload.mesh.clone()),
        ("dataplane", workload.dataplane.clone()),
        ("cgroup", workload.cgroup.display().to_string()),
        ("service", route.service.clone()),
        ("dialled", SocketAddr::new(route.address, route.port).to_string()),
        ("backend", backend.target.clone()),
    ]
}

impl Collector for OutcomeMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        let what = ("backend_attempts", "Calls of connect() that were sent to the backendRef.", None);
        self.family(encoder, what, |outcomes| ConstCounter::new(outcomes.attempted))?;
        self.ends(encoder)?;
        let what = ("backend_closed", "Established connections that TCP has brought to an end.", None);
        self.family(encoder, what, |outcomes| ConstCounter::new(outcomes.closed))?;
        let help = "Connections that the peer reset before it sent or acknowledged a byte.";
        self.family(encoder, ("backend_resets", help, None), |outcomes| ConstCounter::new(outcomes.reset))?;
        let what = ("backend_open_connections", "Connections that are established at present.", None);
        self.family(encoder, what, |outcomes| ConstGauge::new(outcomes.open))?;
        let help = "From the first SYN to the end of the handshake.";
        let what = ("backend_connect_duration", help, Some(&Unit::Seconds));
        self.family(encoder, what, |outcomes| outcomes.latency)
    }
}

impl OutcomeMetrics {
    /// Each connection that was meant for a backendRef, once it is known what came of it.
    fn ends(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let Some(first) = self.0.values().next() else { return Ok(()) };
        let metric_type = ConstCounter::new(first.established).metric_type();
        let help = "Connections to the backendRef, by what came of them.";
        let mut family = encoder.encode_descriptor("backend_connections", help, None, metric_type)?;
        for (labels, outcomes) in &self.0 {
            let ends = [
                ("established", outcomes.established),
                ("refused", outcomes.refused),
                ("unreachable", outcomes.unreachable),
                ("timed_out", outcomes.timed_out),
                ("aborted", outcomes.aborted),
                ("unsent", outcomes.unsent),
                ("failed", outcomes.failed),
                ("elsewhere", outcomes.elsewhere),
                ("no_endpoint", outcomes.no_endpoint),
            ];
            for (outcome, count) in ends {
                let labels = (labels.clone(), [("outcome", outcome)]);
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        let bound = |bucket| Self::bound(bucket).map_or(f64::INFINITY, |bound| bound.as_secs_f64());
        let buckets: Vec<(f64, u64)> =
            self.buckets.iter().enumerate().map(|(bucket, &count)| (bound(bucket), count)).collect();
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

    fn backend(target: &str, established: u64) -> BackendOutcomes {
        let mut latency = Latency { sum_us: 1500 * established, ..Latency::default() };
        latency.buckets[11] = established;
        let outcomes = Outcomes {
            attempted: established,
            established,
            open: established,
            latency,
            ..Outcomes::default()
        };
        BackendOutcomes { target: target.to_owned(), weight: 1, share: 0.5, outcomes: Some(outcomes) }
    }

    #[test]
    fn backend_refs_of_the_same_target_are_one_and_those_never_chosen_none() {
        let workload = WorkloadOutcomes {
            mesh: "default".to_owned(),
            dataplane: "web".to_owned(),
            cgroup: "/web".into(),
            routes: vec![RouteOutcomes {
                service: "db".to_owned(),
                address: [127, 0, 0, 1].into(),
                port: 5432,
                selection: "random".to_owned(),
                split: None,
                backends: vec![backend("v1", 2), backend("v2", 0), backend("v1", 1)],
            }],
        };
        let mut registry = Registry::with_prefix("tcproute");
        registry.register_collector(Box::new(OutcomeMetrics::new(&[workload])));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let labels = r#"mesh="default",dataplane="web",cgroup="/web",service="db",dialled="127.0.0.1:5432",backend="v1""#;
        for line in [
            format!("tcproute_backend_attempts_total{{{labels}}} 3\n"),
            format!("tcproute_backend_connections_total{{{labels},outcome=\"established\"}} 3\n"),
            format!("tcproute_backend_connections_total{{{labels},outcome=\"refused\"}} 0\n"),
            format!("tcproute_backend_open_connections{{{labels}}} 3\n"),
            format!("tcproute_backend_connect_duration_seconds_sum{{{labels}}} 0.0045\n"),
            format!("tcproute_backend_connect_duration_seconds_bucket{{le=\"0.001024\",{labels}}} 0\n"),
            format!("tcproute_backend_connect_duration_seconds_bucket{{le=\"0.002048\",{labels}}} 3\n"),
            format!("tcproute_backend_connect_duration_seconds_bucket{{le=\"+Inf\",{labels}}} 3\n"),
        ] {
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(!text.contains("v2"));
    }
}
