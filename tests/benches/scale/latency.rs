//! Times of many tries.

use std::time::Duration;

use serde_json::{Value, json};

/// So often each change is made.
pub(crate) const TRIES: usize = 30;

/// Times, sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times)
    }

    /// In milliseconds.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a place among some thirty")]
        let place = ((self.0.len() as f64 * share).ceil() as usize).clamp(1, self.0.len().max(1)) - 1;
        self.0.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "p50Ms": self.quantile(0.5), "p99Ms": self.quantile(0.99), "tries": self.0.len() })
    }
}
