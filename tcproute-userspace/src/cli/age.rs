//! How long something has been, as kubectl tells it: in the two units that matter.

use std::time::Duration;

use jiff::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// How long ago this was, such as `5m12s`. Clocks that differ make nothing younger than now.
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    span(Duration::try_from(now.duration_since(since)).unwrap_or_default())
}

/// As [`age`], of something of which it may not be known.
pub(super) fn known_age(since: Option<Timestamp>, now: Timestamp) -> String {
    since.map_or_else(|| "-".to_owned(), |since| age(since, now))
}

/// A time as it takes few characters: the longer it is, the less exact.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        _ if seconds < 2 * MINUTE => format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => two(seconds, (MINUTE, 'm'), (1, 's')),
        _ if seconds < 3 * HOUR => format!("{}m", seconds / MINUTE),
        _ if seconds < 8 * HOUR => two(seconds, (HOUR, 'h'), (MINUTE, 'm')),
        _ if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        _ if seconds < 8 * DAY => two(seconds, (DAY, 'd'), (HOUR, 'h')),
        _ if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => two(seconds, (YEAR, 'y'), (DAY, 'd')),
        _ => format!("{}y", seconds / YEAR),
    }
}

fn two(seconds: u64, (large, of_large): (u64, char), (small, of_small): (u64, char)) -> String {
    match seconds % large / small {
        0 => format!("{}{of_large}", seconds / large),
        rest => format!("{}{of_large}{rest}{of_small}", seconds / large),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_those_of_kubectl() {
        for (seconds, expected) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (5 * MINUTE + 12, "5m12s"),
            (10 * MINUTE + 1, "10m"),
            (179 * MINUTE, "179m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + 7 * MINUTE, "3h7m"),
            (47 * HOUR, "47h"),
            (3 * DAY + 4 * HOUR, "3d4h"),
            (8 * DAY + 4 * HOUR, "8d"),
            (2 * YEAR + 3 * DAY, "2y3d"),
            (9 * YEAR, "9y"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn nothing_is_younger_than_now() {
        let now = Timestamp::UNIX_EPOCH;
        let later: Timestamp = "1970-01-01T00:01:40Z".parse().unwrap();
        assert_eq!((age(now, later), age(later, now)), ("100s".to_owned(), "0s".to_owned()));
        assert_eq!(known_age(None, now), "-");
    }
}
