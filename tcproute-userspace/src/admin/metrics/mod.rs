//! `/metrics`. What is counted elsewhere, in the kernel or by the agent, is read when it is scraped.

mod endpoints;
mod family;
mod format;
mod otlp;
mod outcomes;
mod own;
mod process;
mod shares;
mod snapshot;
mod sources;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::Result;
use prometheus_client::{
    collector::Collector, encoding::text::encode, metrics::info::Info, registry::Registry,
};

pub(super) use self::format::Format;
use self::{
    endpoints::EndpointMetrics, otlp::OtlpMetrics, outcomes::OutcomeMetrics, own::OwnMetrics,
    process::ProcessMetrics, shares::ShareMetrics, snapshot::Snapshot, sources::SourceMetrics,
};
use super::connections::Connections;
use crate::{
    agent::{Handle, Reconciles, SharesState},
    bpf::CounterValue,
    otlp::Exported,
    outcomes::{EndpointConnections, WorkloadOutcomes},
};

/// How finely connections are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Detail {
    /// By Dataplane and service.
    Services,
    /// By the address that is dialled and by backendRef, too.
    Backends,
    /// And those that are open also by endpoint: for that the daemon looks at each socket when it is asked.
    Endpoints,
}

impl Detail {
    /// Whether backendRefs are told apart.
    const fn has_backends(self) -> bool {
        matches!(self, Self::Backends | Self::Endpoints)
    }
}

/// How much is told of connections.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// How finely they are told apart.
    pub detail: Detail,
    /// Of how many backendRefs, or services.
    pub most: usize,
}

/// What was asked for a scrape.
pub(super) struct Answers {
    pub(super) counters: Vec<CounterValue>,
    pub(super) outcomes: Vec<WorkloadOutcomes>,
    pub(super) shares: SharesState,
    pub(super) attached: Vec<bool>,
    /// None unless that detail is asked for.
    pub(super) endpoints: Vec<EndpointConnections>,
    /// None unless connections are told of elsewhere.
    pub(super) exported: Option<Exported>,
}

/// The text of all metrics.
pub(super) fn text(
    format: Format,
    extent: Extent,
    handle: &Handle,
    answers: Answers,
    connections: Arc<[Arc<Connections>]>,
) -> Result<String> {
    let state = handle.state();
    let snapshot = Snapshot::new(&state, &answers.counters, &answers.attached);
    let collectors: [Box<dyn Collector>; 8] = [
        Box::new(snapshot),
        Box::new(EndpointMetrics::new(answers.endpoints, extent.most)),
        Box::new(OtlpMetrics(answers.exported)),
        Box::new(OwnMetrics(connections)),
        Box::new(ProcessMetrics),
        Box::new(OutcomeMetrics::new(&answers.outcomes, extent.detail, extent.most)),
        Box::new(ShareMetrics(answers.shares)),
        Box::new(SourceMetrics(state.sources.clone())),
    ];
    Ok(format.of(encoded(handle.reconciles(), collectors)?))
}

fn encoded(reconciles: &Reconciles, collectors: [Box<dyn Collector>; 8]) -> Result<String> {
    let mut registry = Registry::with_prefix("tcproute");
    registry.register("build", "The version of tcproute", Info::new([("version", crate::version::VERSION)]));
    reconciles.register(&mut registry);
    for collector in collectors {
        registry.register_collector(collector);
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}
