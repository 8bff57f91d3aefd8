// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What became of the connections to a backend, per CPU, in the map `outcomes`.

/// Buckets of [`OutcomeCounts::latency`].
pub const LATENCY_BUCKETS: usize = 25;

/// Entry of the map `outcomes`: one for each backendRef of each route, whatever its weight or endpoints.
///
/// Every attempt that has an end counts as exactly one of `established`, `refused`, `unreachable`, `timed_out`,
/// `aborted`, `unsent`, `failed` and `elsewhere`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    /// Calls of connect() that were sent to the backend.
    pub attempted: u64,
    /// Handshakes that were completed.
    pub established: u64,
    /// The peer answered with RST, or a router that the port is closed (ECONNREFUSED).
    pub refused: u64,
    /// A router answered that there is no way (EHOSTUNREACH, ENETUNREACH).
    pub unreachable: u64,
    /// Nobody answered in time (ETIMEDOUT).
    pub timed_out: u64,
    /// The application gave up before there was an answer.
    pub aborted: u64,
    /// connect() failed on this host before the first SYN: no route, no free port. Counted when the socket is
    /// used again or closed.
    pub unsent: u64,
    /// Any other failure before the handshake was completed.
    pub failed: u64,
    /// Another program has led the connection elsewhere after the choice: what became of it there is not this
    /// backendRef's.
    pub elsewhere: u64,
    /// Of the established connections those of which TCP has come to an end: both directions are closed.
    pub closed: u64,
    /// Reset by the peer when it had neither sent nor acknowledged a byte: in its eyes the handshake was never
    /// completed. Each of them is counted elsewhere, too: as established and closed where the handshake
    /// was complete on this side, as failed where it was not.
    pub reset: u64,
    /// The backendRef was chosen and had no endpoint: connect() was refused here, and nothing was sent. These are no
    /// attempts.
    pub no_endpoint: u64,
    /// Microseconds from the first SYN to the end of the handshake, over all that were established.
    pub latency_us: u64,
    /// The same by powers of two: bucket `i` counts those of less than `2^i` and, from 1 on, of at least `2^(i-1)`
    /// microseconds; the last one all that take longer.
    pub latency: [u64; LATENCY_BUCKETS],
}

crate::shared!(OutcomeCounts, 304);

/// Entry of the map `carried`, under the index in `outcomes`: what was counted in maps that were too small.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CarriedCounts {
    /// Over all CPUs.
    pub counts: OutcomeCounts,
    /// The kernel's number of the last map that is in it. The kernel gives numbers that rise.
    pub map: u64,
}

crate::shared!(CarriedCounts, 312);

/// The bucket for a latency.
#[inline(always)]
pub const fn latency_bucket(microseconds: u32) -> usize {
    let bucket = (u32::BITS - microseconds.leading_zeros()) as usize;
    if bucket < LATENCY_BUCKETS { bucket } else { LATENCY_BUCKETS - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_powers_of_two() {
        let bucket = |microseconds| latency_bucket(microseconds);
        assert_eq!([0, 1, 2, 3, 4, 1023, 1024].map(bucket), [0, 1, 2, 2, 3, 10, 11]);
        assert_eq!([(1 << 23) - 1, 1 << 23, 1 << 24, u32::MAX].map(bucket), [23, 24, 24, 24]);
    }
}
