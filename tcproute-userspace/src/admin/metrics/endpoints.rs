//! The metrics of connections by endpoint, if that detail is asked for.

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

use crate::outcomes::EndpointConnections;

type Labels = [(&'static str, String); 6];

#[derive(Debug)]
pub(super) struct EndpointMetrics {
    open: BTreeMap<Labels, u64>,
    left_out: usize,
}

impl EndpointMetrics {
    /// Of so many endpoints.
    pub(super) fn new(endpoints: Vec<EndpointConnections>, most: usize) -> Self {
        let mut open = BTreeMap::new();
        for of in endpoints {
            let labels = [
                ("mesh", of.mesh),
                ("dataplane", of.dataplane),
                ("service", of.service),
                ("dialled", of.dialled.to_string()),
                ("backend", of.backend),
                ("endpoint", of.endpoint.to_string()),
            ];
            // Several cgroups may have a Dataplane.
            *open.entry(labels).or_default() += of.open;
        }
        let left_out = open.len().saturating_sub(most);
        let open = open.into_iter().take(most).collect();
        Self { open, left_out }
    }
}

impl Collector for EndpointMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if self.open.is_empty() && self.left_out == 0 {
            return Ok(());
        }
        let help = "Connections that are established to an endpoint at present.";
        let mut family =
            encoder.encode_descriptor("endpoint_open_connections", help, None, MetricType::Gauge)?;
        for (labels, open) in &self.open {
            ConstGauge::new(*open).encode(family.encode_family(labels)?)?;
        }
        let help = "Endpoints of which there are no metrics, since there are too many.";
        let left_out = ConstGauge::new(self.left_out as u64);
        left_out.encode(encoder.encode_descriptor("endpoints_left_out", help, None, MetricType::Gauge)?)
    }
}
