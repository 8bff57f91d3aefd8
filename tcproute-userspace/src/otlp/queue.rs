//! What waits to be sent: together, soon, and never more than there is room for.

use std::{collections::VecDeque, time::Duration};

/// So many are sent together at most.
pub(super) const BATCH: usize = 512;

/// So many may wait.
pub(super) const ROOM: usize = 8192;

/// The first one does not wait longer for others. Also for a collector it is better to be asked rarely.
const LONGEST: Duration = Duration::from_secs(1);

/// Times are those since any fixed moment.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: VecDeque<(Duration, T)>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<T> Queue<T> {
    /// Whether there was room.
    pub(super) fn push(&mut self, item: T, now: Duration) -> bool {
        let fits = self.waiting.len() < ROOM;
        if fits {
            self.waiting.push_back((now, item));
        }
        fits
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// When some are to be sent: at once if they are enough; never if there are none.
    pub(super) fn due(&self) -> Option<Duration> {
        let (since, _) = self.waiting.front()?;
        Some(if self.waiting.len() >= BATCH { Duration::ZERO } else { *since + LONGEST })
    }

    /// Those that are sent together, the oldest first.
    pub(super) fn take(&mut self) -> Vec<T> {
        let count = self.waiting.len().min(BATCH);
        self.waiting.drain(..count).map(|(_, item)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: usize, at: Duration) -> Queue<usize> {
        let mut queue = Queue::default();
        assert!((0..count).all(|number| queue.push(number, at)));
        queue
    }

    #[test]
    fn a_batch_is_due_when_it_is_full_or_has_waited() {
        let at = Duration::from_secs(5);
        assert_eq!(filled(0, at).due(), None);
        assert_eq!(filled(1, at).due(), Some(at + LONGEST));
        assert_eq!(filled(BATCH - 1, at).due(), Some(at + LONGEST));
        let mut queue = filled(BATCH + 1, at);
        assert_eq!(queue.due(), Some(Duration::ZERO));
        assert_eq!(queue.take(), (0..BATCH).collect::<Vec<_>>());
        assert_eq!((queue.len(), queue.due()), (1, Some(at + LONGEST)));
        assert_eq!(queue.take(), [BATCH]);
        assert!(queue.take().is_empty());
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut queue = filled(ROOM, Duration::ZERO);
        assert!(!queue.push(ROOM, Duration::ZERO));
        assert_eq!(queue.len(), ROOM);
        assert_eq!(queue.take()[0], 0, "what is there stays");
        assert!(queue.push(ROOM, Duration::ZERO));
    }
}
