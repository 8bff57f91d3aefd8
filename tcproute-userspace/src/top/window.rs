//! What was counted in the last while: the differences between readings of counters.

use std::{collections::VecDeque, ops::AddAssign};

use crate::outcomes::{Outcomes, float};

/// What one backendRef has counted between the last few readings.
#[derive(Debug, Clone)]
pub(super) struct Window {
    last: Outcomes,
    steps: VecDeque<Step>,
}

/// Between one reading and the next.
#[derive(Debug, Clone, Copy)]
struct Step {
    seconds: f64,
    counted: Outcomes,
}

/// What was counted, and in how long.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) seconds: f64,
    pub(super) outcomes: Outcomes,
}

impl Window {
    /// What was counted before nobody can say when is no rate.
    pub(super) const fn new(first: &Outcomes) -> Self {
        Self { last: *first, steps: VecDeque::new() }
    }

    /// Takes the next reading, so many seconds after the last, and forgets what is longer ago than `span`.
    pub(super) fn take(&mut self, now: &Outcomes, seconds: f64, span: f64) {
        if seconds <= 0.0 {
            return;
        }
        #[cfg(test)]
        tests::TAKEN.with(|taken| taken.set(taken.get() + 1));
        // A backendRef whose counters have begun anew has no past to be compared with.
        match difference(now, &self.last) {
            Some(counted) => self.steps.push_back(Step { seconds, counted }),
            None => self.steps.clear(),
        }
        self.last = *now;
        let mut whole: f64 = self.steps.iter().map(|step| step.seconds).sum();
        // What is measured is not to the microsecond as long as what was asked for.
        while self.steps.len() > 1 && whole > span * 1.1 {
            whole -= self.steps.pop_front().map_or(0.0, |step| step.seconds);
        }
    }

    /// `None` until there are two readings to be compared.
    pub(super) fn counted(&self) -> Option<Counted> {
        let mut sum = Counted::default();
        for step in &self.steps {
            sum.seconds += step.seconds;
            sum.outcomes += step.counted;
        }
        (!self.steps.is_empty()).then_some(sum)
    }

    /// As it was read last.
    pub(super) const fn last(&self) -> &Outcomes {
        &self.last
    }
}

impl Counted {
    /// So many a second.
    pub(super) fn rate(&self, count: u64) -> f64 {
        float(count) / self.seconds
    }
}

/// What has been counted since; `None` if any counter is less than it was, so that it has begun anew.
fn difference(now: &Outcomes, before: &Outcomes) -> Option<Outcomes> {
    let mut anew = false;
    let counted = now.with(before, |now, before| {
        anew |= now < before;
        now.saturating_sub(before)
    });
    // No counter: how many there are.
    (!anew).then_some(Outcomes { open: 0, ..counted })
}

/// Adds one if there is any; what there is nothing of stays so.
pub(super) fn add<T: AddAssign + Copy>(sum: &mut Option<T>, more: Option<T>) {
    match (sum.as_mut(), more) {
        (Some(sum), Some(more)) => *sum += more,
        (None, more) => *sum = more,
        (Some(_), None) => {}
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// How often a reading of a backendRef was compared.
        pub(in crate::top) static TAKEN: Cell<usize> = const { Cell::new(0) };
    }

    fn attempted(attempted: u64) -> Outcomes {
        Outcomes { attempted, ..Outcomes::default() }
    }

    fn rate(window: &Window) -> Option<f64> {
        window.counted().map(|counted| counted.rate(counted.outcomes.attempted))
    }

    #[test]
    fn a_rate_is_that_of_the_last_while() {
        let mut window = Window::new(&attempted(1000));
        assert_eq!(rate(&window), None, "of what was before nobody knows when it was");
        window.take(&attempted(1010), 2.0, 4.0);
        assert_eq!(rate(&window), Some(5.0));
        window.take(&attempted(1010), 2.0, 4.0);
        assert_eq!(rate(&window), Some(2.5));
        window.take(&attempted(1010), 2.0, 4.0);
        assert_eq!(rate(&window), Some(0.0), "the ten are too long ago");
        window.take(&attempted(1070), 60.0, 4.0);
        assert_eq!(rate(&window), Some(1.0), "after a gap it is that of the gap");
        window.take(&attempted(1080), 2.0, 4.0);
        assert_eq!(rate(&window), Some(5.0), "and then no more");
    }

    #[test]
    fn counters_that_begin_anew_count_nothing_twice() {
        let mut window = Window::new(&attempted(1000));
        window.take(&attempted(3), 1.0, 1.0);
        assert_eq!(rate(&window), None);
        window.take(&attempted(10), 1.0, 1.0);
        assert_eq!(rate(&window), Some(7.0));
        window.take(&attempted(12), 0.0, 1.0);
        assert_eq!(rate(&window), Some(7.0), "no time has passed");
    }
}
