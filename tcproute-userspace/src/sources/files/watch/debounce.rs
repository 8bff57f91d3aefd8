//! When a burst of events is over. Pure: the clock is an argument.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use tokio::time::Instant;

/// So long no event has come when a burst is over,
const QUIET: Duration = Duration::from_millis(10);
/// and a burst without end counts as over after so long.
const BURST: Duration = Duration::from_millis(50);
/// The same while a file that has changed is still open for writing: it may be written only half,
pub(super) const QUIET_OPEN: Duration = Duration::from_millis(50);
/// or by someone who never closes it.
const BURST_OPEN: Duration = Duration::from_millis(500);

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sign {
    /// A file has got other content, and its writer has it open.
    Written(PathBuf),
    /// A writer has closed a file.
    Closed(PathBuf),
    /// Anything else.
    Other,
}

/// A burst of events.
#[derive(Debug)]
pub(super) struct Burst {
    first: Instant,
    last: Instant,
    open: HashSet<PathBuf>,
}

impl Burst {
    pub(super) fn begin(at: Instant, sign: Sign) -> Self {
        let mut burst = Self { first: at, last: at, open: HashSet::new() };
        burst.add(at, sign);
        burst
    }

    pub(super) fn add(&mut self, at: Instant, sign: Sign) {
        self.last = at;
        match sign {
            Sign::Written(path) => {
                self.open.insert(path);
            }
            Sign::Closed(path) => {
                self.open.remove(&path);
            }
            Sign::Other => {}
        }
    }

    /// When it began.
    pub(super) const fn first(&self) -> Instant {
        self.first
    }

    /// When it is over, if nothing more comes.
    pub(super) fn over(&self) -> Instant {
        let (quiet, burst) = if self.open.is_empty() { (QUIET, BURST) } else { (QUIET_OPEN, BURST_OPEN) };
        (self.last + quiet).min(self.first + burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_is_over_when_it_is_quiet() {
        let start = Instant::now();
        let mut burst = Burst::begin(start, Sign::Other);
        assert_eq!(burst.over(), start + 10 * MS);
        burst.add(start + 7 * MS, Sign::Other);
        assert_eq!(burst.over(), start + 17 * MS);
    }

    #[test]
    fn constant_writing_does_not_put_it_off() {
        let start = Instant::now();
        let path = || PathBuf::from("a");
        let mut closed = Burst::begin(start, Sign::Other);
        let mut open = Burst::begin(start, Sign::Written(path()));
        for ms in 1..1000 {
            closed.add(start + ms * MS, Sign::Other);
            open.add(start + ms * MS, Sign::Written(path()));
        }
        assert_eq!(closed.over(), start + BURST);
        assert_eq!(open.over(), start + BURST_OPEN);
    }

    #[test]
    fn a_writer_is_given_time_until_it_closes_the_file() {
        let start = Instant::now();
        let path = || PathBuf::from("a");
        let mut burst = Burst::begin(start, Sign::Written(path()));
        assert_eq!(burst.over(), start + QUIET_OPEN);
        burst.add(start + 30 * MS, Sign::Closed(path()));
        assert_eq!(burst.over(), start + 40 * MS);
    }
}
