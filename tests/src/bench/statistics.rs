//! What a number of figures comes to. None of it takes an empty list.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The middle of some figures, and how far they are from each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The least of them.
    pub least: f64,
    /// See [`median`].
    pub median: f64,
    /// The greatest of them.
    pub greatest: f64,
}

/// How long something took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// All but one in a hundred take no longer.
    pub p99: f64,
    /// All but one in a thousand take no longer.
    pub p999: f64,
}

/// So often figures are drawn anew from what there is.
const RESAMPLES: usize = 10_000;

/// The same draws in each run, so that the same figures come to the same interval.
const SEED: u64 = 23;

impl Spread {
    /// Of all these.
    pub fn of(values: &[f64]) -> Self {
        Self {
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            median: median(values),
            greatest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

impl Latency {
    /// Of all these tries.
    pub fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |per_thousand| quantile(&took, per_thousand).as_secs_f64() * 1e6;
        Self { p50: at(500), p99: at(990), p999: at(999) }
    }
}

/// Of an even number of values the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}

/// The least value that so many in a thousand do not exceed. The values are in their order.
pub fn quantile<T: Copy>(sorted: &[T], per_thousand: usize) -> T {
    sorted[(sorted.len() * per_thousand).div_ceil(1000).max(1) - 1]
}

/// Where the median is with a confidence of 95 %, by the bootstrap: the medians of as many values, drawn from these
/// with replacement, but for the outermost 2.5 % on each side.
pub fn interval(values: &[f64]) -> [f64; 2] {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn: Vec<f64> = values.iter().map(|_| values[random.usize(..values.len())]).collect();
            median(&drawn)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    [quantile(&medians, 25), quantile(&medians, 975)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of(&[3.0, 1.0, 9.0]), Spread { least: 1.0, median: 3.0, greatest: 9.0 });
        assert!((median(&[4.0, 1.0, 2.0, 9.0]) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn so_many_do_not_exceed_a_quantile() {
        let values: Vec<u32> = (1..=1000).collect();
        for (per_thousand, expected) in [(500, 500), (990, 990), (999, 999), (1000, 1000), (0, 1)] {
            assert_eq!(quantile(&values, per_thousand), expected);
        }
        // Of ten, one is more than a hundredth of all.
        assert_eq!(quantile(&values[..10], 990), 10);
        assert_eq!(quantile(&[7], 1), 7);
    }

    #[test]
    fn latencies_are_in_microseconds() {
        let took = (1..=2000).rev().map(Duration::from_micros).collect();
        let Latency { p50, p99, p999 } = Latency::of(took);
        for (found, expected) in [(p50, 1000.0), (p99, 1980.0), (p999, 1998.0)] {
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
    }

    #[test]
    fn the_interval_is_within_the_values_around_the_median_and_always_the_same() {
        let values = [0.9, 1.0, 1.1, 1.05, 0.95];
        let [low, high] = interval(&values);
        assert!((0.9..1.0).contains(&low) && high > 1.0 && high <= 1.1, "{low}..{high}");
        let bits = |values: &[f64]| interval(values).map(f64::to_bits);
        assert_eq!(bits(&values), [low, high].map(f64::to_bits));
        assert_eq!(bits(&[2.0; 5]), [2.0; 2].map(f64::to_bits));
        assert_eq!(bits(&[1.5]), [1.5; 2].map(f64::to_bits));
    }

    #[test]
    fn the_interval_of_a_mean_of_many_is_as_wide_as_theory_says() {
        // 401 evenly spread values: the standard error of their median is about 0.5 / sqrt(401) = 0.025.
        let values: Vec<f64> = (0..=400).map(|i| f64::from(i) / 400.0).collect();
        let [low, high] = interval(&values);
        assert!((low - (0.5 - 0.049)).abs() < 0.01 && (high - (0.5 + 0.049)).abs() < 0.01, "{low}..{high}");
    }
}
