//! The connections to one listener: how many there may be, and who goes when there is no room.
//!
//! Each listener has its own, so those who reach TCP take nothing from root's `tcproute status`. When all are taken, a
//! new one takes the place of that which has been without a request for the longest time: so whoever holds idle
//! connections only loses his own, and a scraper gets in. If all are being answered, the new one gets 503.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::answers::Answers;

/// Connections that one listener may have.
const MOST: usize = 64;

/// Those of them that may listen to decisions.
const MOST_TRACES: usize = 8;

/// And those that may be told what the page draws.
const MOST_PAGES: usize = 8;

#[derive(Debug)]
pub(super) struct Connections {
    /// `unix`, `tcp` or `metrics`.
    pub(super) listener: &'static str,
    pub(super) answers: Answers,
    seats: Mutex<Seats>,
    /// Told when one has ended.
    ended: Notify,
    refused: AtomicU64,
    displaced: AtomicU64,
    traces: Arc<Semaphore>,
    pages: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Seats {
    taken: usize,
    next: u64,
    /// Those without a request, from the one that is so for the longest time on, and how each is told to go.
    idle: BTreeMap<u64, Arc<Notify>>,
}

/// How many of something there are, and may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) taken: usize,
    pub(super) limit: usize,
}

impl Connections {
    pub(super) fn new(listener: &'static str) -> Arc<Self> {
        Arc::new(Self {
            listener,
            answers: Answers::default(),
            seats: Mutex::default(),
            ended: Notify::new(),
            refused: AtomicU64::new(0),
            displaced: AtomicU64::new(0),
            traces: Arc::new(Semaphore::new(MOST_TRACES)),
            pages: Arc::new(Semaphore::new(MOST_PAGES)),
        })
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection, if need be that of one without a request. `None` if all are being answered.
    pub(super) async fn seat(self: &Arc<Self>) -> Option<Arc<Seat>> {
        let mut told = false;
        loop {
            let ended = self.ended.notified();
            {
                let mut seats = self.seats();
                if seats.taken < MOST {
                    seats.taken += 1;
                    let seat = Arc::new(Seat {
                        of: Arc::clone(self),
                        leave: Arc::default(),
                        idle: Mutex::default(),
                    });
                    seat.rest(&mut seats);
                    return Some(seat);
                }
                if !told {
                    let Some((_, oldest)) = seats.idle.pop_first() else {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                        return None;
                    };
                    oldest.notify_one();
                    self.displaced.fetch_add(1, Ordering::Relaxed);
                    told = true;
                }
            }
            ended.await;
        }
    }

    /// Lets one more listen to decisions, if there is room.
    pub(super) fn trace(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.traces).try_acquire_owned().ok()
    }

    /// Lets one more be told what the page draws, if there is room.
    pub(super) fn page(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.pages).try_acquire_owned().ok()
    }

    pub(super) fn connections(&self) -> Share {
        Share { taken: self.seats().taken, limit: MOST }
    }

    pub(super) fn traces(&self) -> Share {
        Share { taken: MOST_TRACES - self.traces.available_permits(), limit: MOST_TRACES }
    }

    pub(super) fn pages(&self) -> Share {
        Share { taken: MOST_PAGES - self.pages.available_permits(), limit: MOST_PAGES }
    }

    /// New ones that found no room.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Those that had to go for new ones.
    pub(super) fn displaced(&self) -> u64 {
        self.displaced.load(Ordering::Relaxed)
    }
}

/// The place of one connection, which ends with this.
#[derive(Debug)]
pub(super) struct Seat {
    of: Arc<Connections>,
    leave: Arc<Notify>,
    /// Where it stands among those without a request.
    idle: Mutex<Option<u64>>,
}

impl Seat {
    fn place(&self) -> MutexGuard<'_, Option<u64>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest(&self, seats: &mut Seats) {
        seats.next += 1;
        seats.idle.insert(seats.next, Arc::clone(&self.leave));
        *self.place() = Some(seats.next);
    }

    /// It has a request, which is answered until the value is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        let mut seats = self.of.seats();
        if let Some(place) = self.place().take() {
            seats.idle.remove(&place);
        }
        Busy(Arc::clone(self))
    }

    /// Waits until it has to go.
    pub(super) async fn displaced(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.of.seats();
        seats.taken -= 1;
        if let Some(place) = self.place().take() {
            seats.idle.remove(&place);
        }
        drop(seats);
        self.of.ended.notify_one();
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Busy(Arc<Seat>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut seats = self.0.of.seats();
        self.0.rest(&mut seats);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn the_one_that_is_idle_for_the_longest_time_goes_for_a_new_one() {
        let connections = Connections::new("tcp");
        let mut seats = Vec::new();
        for _ in 0..MOST {
            seats.push(connections.seat().await.unwrap());
        }
        assert_eq!(connections.connections(), Share { taken: MOST, limit: MOST });
        // The first has a request, and the second had one just now.
        let busy = seats[0].busy();
        drop(seats[1].busy());
        let third = seats.remove(2);
        let leaves = tokio::spawn(async move { third.displaced().await });
        assert!(connections.seat().await.is_some());
        leaves.await.unwrap();
        assert_eq!((connections.displaced(), connections.refused()), (1, 0));
        drop(busy);
    }

    #[tokio::test]
    async fn those_being_answered_stay_and_a_new_one_is_refused() {
        let connections = Connections::new("tcp");
        let mut seats = Vec::new();
        for _ in 0..MOST {
            let seat = connections.seat().await.unwrap();
            seats.push((seat.busy(), seat));
        }
        assert!(connections.seat().await.is_none());
        assert_eq!((connections.displaced(), connections.refused()), (0, 1));
        seats.pop();
        let seat = timeout(Duration::from_secs(5), connections.seat()).await.unwrap();
        assert_eq!(connections.connections().taken, MOST);
        drop((seat, seats));
        assert_eq!(connections.connections().taken, 0);
        assert!(connections.seats().idle.is_empty());
    }

    #[test]
    fn few_may_listen_to_decisions() {
        let connections = Connections::new("unix");
        let all: Vec<_> = std::iter::from_fn(|| connections.trace()).take(1000).collect();
        assert_eq!(all.len(), MOST_TRACES);
        drop(all);
        assert_eq!(connections.traces(), Share { taken: 0, limit: MOST_TRACES });
    }

    #[test]
    fn few_pages_are_told_what_they_draw_and_take_nothing_from_those_who_listen() {
        let connections = Connections::new("tcp");
        let all: Vec<_> = std::iter::from_fn(|| connections.page()).take(1000).collect();
        assert_eq!(all.len(), MOST_PAGES);
        assert!(connections.trace().is_some());
        drop(all);
        assert_eq!(connections.pages(), Share { taken: 0, limit: MOST_PAGES });
    }
}
