//! The metrics of `--otlp`: what becomes of spans. Without it there are none.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

use super::family::family;
use crate::otlp::Exported;

#[derive(Debug)]
pub(super) struct OtlpMetrics(pub(super) Option<Exported>);

impl Collector for OtlpMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(exported) = &self.0 else { return Ok(()) };
        let results = [
            ("delivered", exported.delivered),
            ("crowded_out", exported.crowded_out),
            ("rejected", exported.rejected),
            ("given_up", exported.given_up),
        ];
        let results = results.into_iter().map(|(result, count)| (result, ConstCounter::new(count)));
        let help = "Spans of connections (--otlp), by what has become of them.";
        family(&mut encoder, "otlp_spans", help, "result", results)?;
        let lost = ConstCounter::new(exported.events_lost);
        let help = "Events of which there could have been spans, lost on the way from the kernel.";
        lost.encode(encoder.encode_descriptor("otlp_events_lost", help, None, lost.metric_type())?)?;
        let gauges = [
            ("otlp_queued_spans", "Spans that wait to be sent.", exported.queued as u64),
            (
                "otlp_answering",
                "Whether the collector has taken the last batch.",
                u64::from(exported.failing.is_none()),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
