//! How long to wait before a list is read again. Pure.

use std::time::Duration;

/// Of a list in which nothing changes no more is read in a second than this, in bytes: a node is one of many.
const RATE: u64 = 1 << 20;

/// Nothing is slower for so long after something has changed: what changes once often changes again.
const LIVELY: Duration = Duration::from_secs(30);

/// But never so many times as long as an interval.
const SLOWEST: u32 = 10;

/// For a list of so many bytes, of a mesh in which nothing has changed for so long. `random` is from 0 to 1: the nodes
/// of a fleet are not to ask all at once, and none waits longer for that.
pub(super) fn wait(interval: Duration, bytes: usize, quiet: Duration, random: f64) -> Duration {
    let longest = if quiet < LIVELY {
        interval
    } else {
        let by_size = Duration::from_millis(bytes as u64 * 1000 / RATE);
        by_size.clamp(interval, interval.saturating_mul(SLOWEST))
    };
    longest.mul_f64(0.8 + random / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_large_and_quiet_is_read_less_often() {
        let longest = |bytes, quiet| wait(SECOND, bytes, Duration::from_secs(quiet), 1.0);
        assert_eq!(longest(100, 3600), SECOND);
        assert_eq!(longest(4 << 20, 29), SECOND);
        assert_eq!(longest(4 << 20, 30), 4 * SECOND);
        assert_eq!(longest(1 << 30, 30), 10 * SECOND);
        assert_eq!(wait(60 * SECOND, 4 << 20, 60 * SECOND, 1.0), 60 * SECOND);
    }

    #[test]
    fn nobody_waits_longer_than_an_interval_for_others() {
        assert_eq!(wait(SECOND, 0, Duration::ZERO, 0.0), SECOND.mul_f64(0.8));
        assert_eq!(wait(SECOND, 0, Duration::ZERO, 1.0), SECOND);
    }
}
