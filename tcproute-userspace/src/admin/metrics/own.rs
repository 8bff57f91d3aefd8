//! The metrics of the admin endpoint and of the log themselves: how near their limits they are.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

use super::family::family;
use crate::{admin::connections::Connections, logging};

#[derive(Debug)]
pub(super) struct OwnMetrics(pub(super) Arc<[Arc<Connections>]>);

impl OwnMetrics {
    fn family<M: EncodeMetric>(
        &self,
        encoder: &mut DescriptorEncoder,
        (name, help): (&str, &str),
        metric: impl Fn(&Connections) -> M,
    ) -> fmt::Result {
        let values = self.0.iter().map(|connections| (connections.listener, metric(connections)));
        family(encoder, name, help, "listener", values)
    }
}

impl Collector for OwnMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        let gauge = |count: usize| ConstGauge::new(count as u64);
        let what = ("admin_connections", "Connections to the admin endpoint.");
        self.family(encoder, what, |it| gauge(it.connections().taken))?;
        let what = ("admin_connections_limit", "How many there may be.");
        self.family(encoder, what, |it| gauge(it.connections().limit))?;
        let what =
            ("admin_connections_refused", "New ones that found no room, since all were being answered.");
        self.family(encoder, what, |it| ConstCounter::new(it.refused()))?;
        let what = ("admin_connections_displaced", "Those without a request that had to go for new ones.");
        self.family(encoder, what, |it| ConstCounter::new(it.displaced()))?;
        let what = ("admin_trace_listeners", "Those of them that listen to decisions.");
        self.family(encoder, what, |it| gauge(it.traces().taken))?;
        let what = ("admin_trace_listeners_limit", "How many may listen.");
        self.family(encoder, what, |it| gauge(it.traces().limit))?;
        let what = ("admin_page_listeners", "Those of them that are told what the page draws.");
        self.family(encoder, what, |it| gauge(it.pages().taken))?;
        let what = ("admin_page_listeners_limit", "How many may be told.");
        self.family(encoder, what, |it| gauge(it.pages().limit))?;
        let lost = ConstCounter::new(logging::lost());
        let help = "Lines of the log that could not be written.";
        lost.encode(encoder.encode_descriptor("log_lines_lost", help, None, lost.metric_type())?)
    }
}
