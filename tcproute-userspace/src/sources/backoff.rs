//! How long to wait before what has failed is tried again. Pure.
//!
//! Of our own, for clusters, too: that of kube's watcher begins anew before each list, so it never grows while the
//! first one fails.

use std::time::Duration;

/// After the first failure.
const LEAST: Duration = Duration::from_millis(500);

/// Never longer, unless the server says so.
const MOST: Duration = Duration::from_mins(1);

/// A server that says how long to wait is not believed beyond this.
const BELIEVED: Duration = Duration::from_mins(5);

/// Grows with each failure, until something has succeeded.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait now. `random` is from 0 to 1: many nodes that fail at once are not to try again at once.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let longest = LEAST.saturating_mul(1 << self.failures.min(16)).min(MOST);
        self.failures += 1;
        longest.mul_f64(0.5 + random / 2.0)
    }

    /// As [`Self::next`], where the server has said how long.
    pub(crate) fn after(&mut self, told: Duration, random: f64) -> Duration {
        let own = self.next(random);
        told.min(BELIEVED).max(LEAST).mul_f64(1.0 + random / 4.0).max(own)
    }

    /// Something has succeeded.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// So long a whole fleet of nodes spreads what all of them have to ask at once.
pub(crate) fn spread(random: f64) -> Duration {
    Duration::from_secs(2).mul_f64(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_a_minute_and_begins_anew_after_success() {
        let mut backoff = Backoff::default();
        let seconds: Vec<f64> = (0..10).map(|_| backoff.next(1.0).as_secs_f64()).collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
        assert_eq!(backoff.next(0.0), Duration::from_secs(30), "half of it at least");
        backoff.reset();
        assert_eq!(backoff.next(1.0), LEAST);
    }

    #[test]
    fn a_server_is_believed_within_reason() {
        let after = |told| Backoff::default().after(Duration::from_secs(told), 0.0);
        assert_eq!(after(7), Duration::from_secs(7));
        assert_eq!(after(0), LEAST);
        assert_eq!(after(1 << 40), BELIEVED);
    }
}
