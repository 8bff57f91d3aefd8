//! Whether all choices together are explained by the weights.
//!
//! Weights change all the time, so there are few choices by each. But lay out the outcomes of a choice one after the
//! other, each as long as its chance, and draw a point in the one that came about: the points are spread evenly over
//! `[0, 1)` if the chances are right, whatever they are. So the points of a route are counted in ten equal bins,
//! and chi-square of all bins of all routes is one number.

use std::collections::BTreeMap;

use fastrand::Rng;
use tcproute_tests::chi_square::{critical_value, statistic};

use crate::outcome::{Distribution, Outcome};

const BINS: usize = 10;
/// Fewer points of a route say nothing.
const FEWEST: u64 = 100;

#[derive(Debug)]
pub(crate) struct Shares {
    rng: Rng,
    /// By workload and destination.
    routes: BTreeMap<(usize, usize), [u64; BINS]>,
}

/// Chi-square of all routes, and what it exceeds with a chance of 1e-6.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fit {
    pub(crate) choices: u64,
    pub(crate) routes: usize,
    pub(crate) statistic: f64,
    pub(crate) critical: f64,
}

impl Shares {
    pub(crate) const fn new(rng: Rng) -> Self {
        Self { rng, routes: BTreeMap::new() }
    }

    pub(crate) fn count(&mut self, route: (usize, usize), outcome: Outcome, distribution: &Distribution) {
        let (begin, length) = distribution.interval(outcome);
        let point = self.rng.f64().mul_add(length, begin);
        let bins = self.routes.entry(route).or_default();
        let bin = (1..BINS).take_while(|&bin| point >= bin as f64 / BINS as f64).count();
        bins[bin] += 1;
    }

    pub(crate) fn fit(&self) -> Fit {
        let total = |bins: &&[u64; BINS]| bins.iter().sum::<u64>();
        let judged: Vec<_> = self.routes.values().filter(|bins| total(bins) >= FEWEST).collect();
        let share = 1.0 / BINS as f64;
        let of = |bins: &&[u64; BINS]| statistic(&bins.map(|count| (count, share)));
        let freedom = judged.len() * (BINS - 1);
        Fit {
            choices: judged.iter().map(total).sum(),
            routes: judged.len(),
            statistic: judged.iter().map(of).sum(),
            critical: critical_value(u32::try_from(freedom).unwrap_or(u32::MAX)),
        }
    }
}

impl Fit {
    pub(crate) fn is_good(&self) -> bool {
        self.statistic <= self.critical
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// Chooses by some weights, and counts by others.
    fn fit(really: [f64; 3], supposed: [f64; 3]) -> Fit {
        let mut rng = Rng::with_seed(1);
        let mut shares = Shares::new(rng.fork());
        let at = |port: usize| SocketAddr::from(([127, 0, 0, 1], port as u16));
        for n in 0..30_000 {
            // The weights turn, as they do in a run.
            let turned = |weights: [f64; 3]| {
                let backends: Vec<_> = (0..3).map(|i| (weights[(i + n / 7) % 3], vec![at(i)])).collect();
                Distribution::split(&backends)
            };
            let (chance, really) = (rng.f64(), turned(really));
            let chosen = (0..3).map(|i| Outcome::Reached(at(i))).find(|&outcome| {
                let (begin, length) = really.interval(outcome);
                (begin..begin + length).contains(&chance)
            });
            if let Some(chosen) = chosen {
                shares.count((n % 3, 0), chosen, &turned(supposed));
            }
        }
        shares.fit()
    }

    #[test]
    fn right_shares_fit_and_wrong_ones_do_not() {
        let right = fit([90.0, 9.0, 1.0], [90.0, 9.0, 1.0]);
        assert!(right.is_good() && right.routes == 3 && right.choices > 29_000, "{right:?}");
        let wrong = fit([90.0, 9.0, 1.0], [80.0, 19.0, 1.0]);
        assert!(!wrong.is_good(), "{wrong:?}");
    }
}
