//! The metrics of reconciles: how many, what came of them and how long they took.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// What came of a reconcile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reconciled {
    /// New routes are in force.
    Applied,
    /// No route is affected.
    Unchanged,
    /// The routes before stay in force.
    Failed,
}

impl Reconciled {
    /// As printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
}

/// Copies share what they count.
#[derive(Debug, Clone)]
pub struct Reconciles {
    total: Family<Labels, Counter>,
    duration: Histogram,
}

impl Default for Reconciles {
    fn default() -> Self {
        let total = Family::<Labels, Counter>::default();
        // All of them are there from the beginning, so that a rate is known after the first.
        for result in [Reconciled::Applied, Reconciled::Unchanged, Reconciled::Failed] {
            drop(total.get_or_create(&Labels { result: result.name() }));
        }
        // From 1 ms to 16 s.
        Self { total, duration: Histogram::new(exponential_buckets(0.001, 2.0, 15)) }
    }
}

impl Reconciles {
    pub(super) fn count(&self, result: Reconciled, duration: Duration) {
        self.total.get_or_create(&Labels { result: result.name() }).inc();
        self.duration.observe(duration.as_secs_f64());
    }

    /// Adds them to what is scraped.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("reconciles", "Passes from a change outside to the kernel", self.total.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "From a change of files or addresses to its routes in force",
            Unit::Seconds,
            self.duration.clone(),
        );
    }
}
