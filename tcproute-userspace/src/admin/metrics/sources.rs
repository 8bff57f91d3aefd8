//! The metrics of sources: how each of them is.

use std::{fmt, time::SystemTime};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::gauge::ConstGauge};

use super::family::family;
use crate::sources::SourceState;

#[derive(Debug)]
pub(super) struct SourceMetrics(pub(super) Vec<SourceState>);

impl Collector for SourceMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        let all = || self.0.iter();
        let bytes = all().filter_map(|source| Some((source.name, ConstGauge::new(source.bytes?.read))));
        let help = "What is read of a source; a small file counts as 1 KiB.";
        family(encoder, "source_bytes", help, "source", bytes)?;
        let most = all().filter_map(|source| Some((source.name, ConstGauge::new(source.bytes?.most))));
        family(encoder, "source_most_bytes", "What may be read of it.", "source", most)?;
        let resources = all().map(|source| (source.name, ConstGauge::new(source.resources as u64)));
        let help = "Resources of a source that can be used.";
        family(encoder, "source_resources", help, "source", resources)?;
        let answering =
            all().map(|source| (source.name, ConstGauge::new(u64::from(source.health.answers()))));
        let help = "Whether it answers, and all of what it was asked for.";
        family(encoder, "source_answering", help, "source", answering)?;
        let at = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let last = all().filter_map(|source| Some((source.name, ConstGauge::new(at(source.answered.at()?)))));
        let help = "When it was last heard.";
        family(encoder, "source_last_answer_timestamp_seconds", help, "source", last)
    }
}
