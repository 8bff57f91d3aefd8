//! What became of connections, as values to be printed, compared and exported.

mod endpoint;
mod split;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::AddAssign,
    path::PathBuf,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tcproute_common::{LATENCY_BUCKETS, OutcomeCounts};

pub use endpoint::EndpointConnections;
pub use split::Split;
pub(crate) use split::float;

/// What became of the connections to one backendRef of one route, over all CPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcomes {
    /// Calls of connect() that were sent there.
    pub attempted: u64,
    /// Handshakes that were completed.
    pub established: u64,
    /// Answered by RST or as a closed port: ECONNREFUSED.
    pub refused: u64,
    /// No way there, as a router said: EHOSTUNREACH and the like.
    pub unreachable: u64,
    /// Not answered in time: ETIMEDOUT.
    pub timed_out: u64,
    /// Given up by the application before there was an answer.
    pub aborted: u64,
    /// Failed on this host before the first SYN.
    pub unsent: u64,
    /// Failed before the handshake was complete for any other reason, or, where the kernel has no BTF, for any.
    pub failed: u64,
    /// Led elsewhere by another program after the choice. What became of them there is not known.
    pub elsewhere: u64,
    /// Established, and TCP has come to its end.
    pub closed: u64,
    /// Established and not closed.
    pub open: u64,
    /// Reset by the peer before it had sent or acknowledged a byte. Each is counted as closed or failed, too.
    pub reset: u64,
    /// Chosen and refused on this node, since the backendRef had no endpoint. These are no attempts.
    pub no_endpoint: u64,
    /// How long the handshakes took.
    pub latency: Latency,
}

/// A histogram of the time from the first SYN to the end of the handshake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Of all that were established.
    pub sum_us: u64,
    /// Bucket `i` counts those of less than [`Latency::bound`]`(i)` and of no less than the bound before.
    pub buckets: [u64; LATENCY_BUCKETS],
}

impl Latency {
    /// Where a bucket ends; `None` for the last, which does not.
    pub fn bound(bucket: usize) -> Option<Duration> {
        (bucket + 1 < LATENCY_BUCKETS).then(|| Duration::from_micros(1 << bucket))
    }

    /// The bound below which that share of all handshakes took; `None` if there were none or it is beyond the last.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let total: u64 = self.buckets.iter().sum();
        let mut below = 0;
        let bucket = self.buckets.iter().position(|count| {
            below += count;
            below > 0 && float(below) >= share * float(total)
        })?;
        Self::bound(bucket)
    }
}

impl Outcomes {
    /// Sums what each CPU has counted. The counting goes on meanwhile, so the numbers may be a connection apart.
    pub fn sum(per_cpu: &[OutcomeCounts]) -> Self {
        let sum = |field: fn(&OutcomeCounts) -> u64| per_cpu.iter().map(field).sum::<u64>();
        let mut buckets = [0; LATENCY_BUCKETS];
        for counts in per_cpu {
            for (bucket, count) in buckets.iter_mut().zip(counts.latency) {
                *bucket += count;
            }
        }
        let (established, closed) = (sum(|counts| counts.established), sum(|counts| counts.closed));
        Self {
            attempted: sum(|counts| counts.attempted),
            established,
            refused: sum(|counts| counts.refused),
            unreachable: sum(|counts| counts.unreachable),
            timed_out: sum(|counts| counts.timed_out),
            aborted: sum(|counts| counts.aborted),
            unsent: sum(|counts| counts.unsent),
            failed: sum(|counts| counts.failed),
            elsewhere: sum(|counts| counts.elsewhere),
            closed,
            open: established.saturating_sub(closed),
            reset: sum(|counts| counts.reset),
            no_endpoint: sum(|counts| counts.no_endpoint),
            latency: Latency { sum_us: sum(|counts| counts.latency_us), buckets },
        }
    }

    /// Each counter of both put together. What is open is no counter, and stays.
    #[must_use]
    pub fn with(&self, other: &Self, mut both: impl FnMut(u64, u64) -> u64) -> Self {
        let mut buckets = self.latency.buckets;
        buckets.iter_mut().zip(other.latency.buckets).for_each(|(own, others)| *own = both(*own, others));
        Self {
            attempted: both(self.attempted, other.attempted),
            established: both(self.established, other.established),
            refused: both(self.refused, other.refused),
            unreachable: both(self.unreachable, other.unreachable),
            timed_out: both(self.timed_out, other.timed_out),
            aborted: both(self.aborted, other.aborted),
            unsent: both(self.unsent, other.unsent),
            failed: both(self.failed, other.failed),
            elsewhere: both(self.elsewhere, other.elsewhere),
            closed: both(self.closed, other.closed),
            open: self.open,
            reset: both(self.reset, other.reset),
            no_endpoint: both(self.no_endpoint, other.no_endpoint),
            latency: Latency { sum_us: both(self.latency.sum_us, other.latency.sum_us), buckets },
        }
    }

    /// What has come to it since then. What is open is so at present, whenever it began.
    #[must_use]
    pub fn since(&self, then: &Self) -> Self {
        self.with(then, u64::saturating_sub)
    }

    /// How often the backendRef was chosen.
    pub const fn chosen(&self) -> u64 {
        self.attempted + self.no_endpoint
    }

    /// Attempts that have come to nothing.
    pub const fn unsuccessful(&self) -> u64 {
        self.refused + self.unreachable + self.timed_out + self.aborted + self.unsent + self.failed
    }

    /// Attempts of which there is no end yet.
    pub const fn pending(&self) -> u64 {
        let ended = self.established + self.unsuccessful() + self.elsewhere;
        self.attempted.saturating_sub(ended)
    }

    /// Whether nothing more can come of what was attempted.
    pub const fn is_drained(&self) -> bool {
        self.pending() == 0 && self.open == 0
    }
}

impl AddAssign for Outcomes {
    fn add_assign(&mut self, other: Self) {
        let open = self.open + other.open;
        *self = Self { open, ..self.with(&other, |own, others| own + others) };
    }
}

/// What there is any of.
impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attempted", self.attempted)?;
        let rest = [
            (self.established, "established"),
            (self.refused, "refused"),
            (self.unreachable, "unreachable"),
            (self.timed_out, "timed out"),
            (self.aborted, "aborted"),
            (self.unsent, "unsent"),
            (self.failed, "failed"),
            (self.elsewhere, "led elsewhere"),
            (self.closed, "closed"),
            (self.open, "open"),
            (self.reset, "reset"),
            (self.no_endpoint, "without endpoint"),
        ];
        rest.into_iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

/// What became of a workload's connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadOutcomes {
    /// The mesh of its Dataplane.
    pub mesh: String,
    /// Its Dataplane.
    pub dataplane: String,
    /// The directory of its cgroup.
    pub cgroup: PathBuf,
    /// Its routes; not those that are left to the proxy.
    pub routes: Vec<RouteOutcomes>,
}

impl WorkloadOutcomes {
    /// Without the routes that nobody has used.
    #[must_use]
    pub fn used(&self) -> Self {
        let routes = self.routes.iter().filter(|route| route.chosen() > 0).cloned().collect();
        Self { routes, ..self.clone() }
    }

    /// A line for each backendRef to which there was a connection.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for route in &self.routes {
            for backend in &route.backends {
                let Some(outcomes) = backend.total.filter(|outcomes| outcomes.attempted > 0) else {
                    continue;
                };
                let (service, dialled) = (&route.service, route.dialled());
                let (dataplane, target) = (&self.dataplane, &backend.target);
                lines.push(format!("{dataplane}: {service} at {dialled} to {target}: {outcomes}"));
            }
        }
        lines
    }
}

/// How many connections there were in the last minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecentConnections {
    /// So long ago their number began.
    pub seconds: f64,
    /// By Dataplane and address.
    pub routes: Vec<RecentRoute>,
}

/// To one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentRoute {
    /// The mesh of the Dataplane.
    pub mesh: String,
    /// The Dataplane that dials.
    pub dataplane: String,
    /// What it dials.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// How often any backendRef was chosen, or none since none has a weight.
    pub connections: u64,
}

/// What became of the connections to one address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteOutcomes {
    /// The destination service.
    pub service: String,
    /// What the application dials.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// How its backends are chosen.
    pub selection: String,
    /// Since when its connections are compared with its weights: these are what they are, and this daemon runs.
    pub since: Option<Timestamp>,
    /// How the connections were split since then; absent if not all backendRefs are counted.
    pub split: Option<Split>,
    /// Refused on this node since then, for no backendRef has a weight.
    pub unweighted: u64,
    /// The same since the weights are so, which another daemon may have seen.
    #[serde(rename = "unweightedTotal")]
    pub unweighted_total: u64,
    /// In the order of the policy.
    pub backends: Vec<BackendOutcomes>,
}

impl RouteOutcomes {
    /// What the application dials.
    pub const fn dialled(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// How often any of its backendRefs was chosen, or none since none has a weight.
    pub fn chosen(&self) -> u64 {
        let totals = self.backends.iter().filter_map(|backend| backend.total);
        self.unweighted_total + totals.map(|total| total.chosen()).sum::<u64>()
    }

    /// Whether the split is what the weights say, in words; `None` if not all backendRefs are counted.
    pub fn verdict(&self) -> Option<String> {
        if self.unweighted > 0 {
            return Some(format!("{} refused: no backendRef has a weight", self.unweighted));
        }
        let split = self.split.as_ref()?;
        if self.backends.len() < 2 {
            return Some("one backend: there is nothing to split".to_owned());
        }
        if self.is_in_turns() {
            let shares: Vec<f64> = self.backends.iter().map(|backend| backend.share).collect();
            let farthest = split.farthest(&shares);
            return Some(format!("in turns: at most {farthest:.1} connections from the exact share"));
        }
        Some(match (split.is_explainable(), split.chance) {
            (Some(true), Some(chance)) => format!("the deviation is explainable by chance (p = {chance:.2})"),
            (Some(false), Some(chance)) => {
                format!("the deviation is NOT explainable by chance (p = {chance:.0e})")
            }
            _ => "too few connections to tell whether the deviation is chance".to_owned(),
        })
    }

    /// Whether something else than chance has been at work where the backends are chosen by chance.
    pub fn is_off(&self) -> bool {
        let explainable = self.split.as_ref().and_then(Split::is_explainable);
        self.backends.len() > 1 && !self.is_in_turns() && explainable == Some(false)
    }

    fn is_in_turns(&self) -> bool {
        self.selection == "even"
    }
}

/// What became of the connections to one backendRef.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackendOutcomes {
    /// The backendRef's target, as people read it.
    pub target: String,
    /// As configured.
    pub weight: u32,
    /// Weight over the sum of all weights.
    pub share: f64,
    /// What became of them since the comparison with the weights began; `None` if they are not counted: the map has
    /// no entry left.
    pub outcomes: Option<Outcomes>,
    /// The same since the backendRef is in the route, which another daemon may have led before.
    pub total: Option<Outcomes>,
}

/// When something began, to the millisecond.
pub(crate) fn timestamp(time: std::time::SystemTime) -> Timestamp {
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let milliseconds = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_may_begin_on_one_cpu_and_end_on_another() {
        let mut first =
            OutcomeCounts { attempted: 4, established: 2, latency_us: 9, ..OutcomeCounts::default() };
        first.latency[2] = 1;
        let mut second =
            OutcomeCounts { established: 1, closed: 2, latency_us: 3, ..OutcomeCounts::default() };
        second.latency[2] = 2;
        let sum = Outcomes::sum(&[first, second]);
        assert_eq!((sum.attempted, sum.established, sum.closed, sum.open), (4, 3, 2, 1));
        assert_eq!((sum.latency.sum_us, sum.latency.buckets[2]), (12, 3));
        assert_eq!((sum.pending(), sum.is_drained()), (1, false));
        let end = OutcomeCounts { closed: 1, timed_out: 1, ..OutcomeCounts::default() };
        assert!(Outcomes::sum(&[first, second, end]).is_drained());
    }

    #[test]
    fn the_last_bucket_has_no_bound() {
        assert_eq!(Latency::bound(0), Some(Duration::from_micros(1)));
        assert_eq!(Latency::bound(23), Some(Duration::from_micros(1 << 23)));
        assert_eq!(Latency::bound(24), None);
    }
}
