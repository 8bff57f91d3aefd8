//! How connections were split, against how they should have been: by how much it differs, and whether chance explains
//! that.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// The split of a route's connections since the comparison with its weights began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Split {
    /// How often each backendRef was chosen, in the order of the policy.
    pub chosen: Vec<u64>,
    /// The share of each in all of these; empty if there are none.
    pub observed: Vec<f64>,
    /// With what chance the shares alone lead to a split that is at least as far from them (Pearson's chi-square).
    /// Absent if there are too few connections to tell: less than 5 are expected for a backendRef.
    pub chance: Option<f64>,
}

/// Below this chance, which is met once in a million looks, something else is at work.
const EXPLAINABLE: f64 = 1e-6;

/// Connections that must be expected for each backendRef, for the chi-square distribution to be near enough.
const EXPECTED: f64 = 5.0;

impl Split {
    /// Of these counts, with the shares that were configured.
    pub fn new(chosen: Vec<u64>, shares: &[f64]) -> Self {
        let total: u64 = chosen.iter().sum();
        let observed = match total {
            0 => Vec::new(),
            _ => chosen.iter().map(|&count| float(count) / float(total)).collect(),
        };
        let chance = chance(&chosen, shares, float(total));
        Self { chosen, observed, chance }
    }

    /// Whether chance explains it; `None` if there are too few connections to tell.
    pub fn is_explainable(&self) -> Option<bool> {
        self.chance.map(|chance| chance >= EXPLAINABLE)
    }

    /// By how many connections the backendRef is above or below its share that is farthest from it.
    pub fn farthest(&self, shares: &[f64]) -> f64 {
        let total: u64 = self.chosen.iter().sum();
        let off =
            self.chosen.iter().zip(shares).map(|(&count, share)| (float(count) - share * float(total)).abs());
        off.fold(0.0, f64::max)
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 connections")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

fn chance(chosen: &[u64], shares: &[f64], total: f64) -> Option<f64> {
    let mut statistic = 0.0;
    let mut cells = 0_u32;
    for (&count, &share) in chosen.iter().zip(shares) {
        if share > 0.0 {
            let expected = share * total;
            if expected < EXPECTED {
                return None;
            }
            statistic += (float(count) - expected).powi(2) / expected;
            cells += 1;
        } else if count > 0 {
            // Of no weight, and chosen.
            return Some(0.0);
        }
    }
    match cells {
        0 => None,
        1 => Some(1.0),
        _ => Some(ChiSquared::new(f64::from(cells - 1)).ok()?.sf(statistic)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chosen: &[u64], shares: &[f64]) -> Split {
        Split::new(chosen.to_vec(), shares)
    }

    #[test]
    fn a_fair_coin_is_explainable_and_a_loaded_one_is_not() {
        let fair = split(&[5060, 4940], &[0.5, 0.5]);
        // R: chisq.test(c(5060, 4940))
        assert!((fair.chance.unwrap() - 0.2301).abs() < 1e-4, "{fair:?}");
        assert_eq!((fair.is_explainable(), fair.observed.clone()), (Some(true), vec![0.506, 0.494]));
        assert_eq!(split(&[5300, 4700], &[0.5, 0.5]).is_explainable(), Some(false));
    }

    #[test]
    fn few_connections_tell_nothing() {
        assert_eq!(split(&[9, 0], &[0.9, 0.1]).is_explainable(), None);
        assert_eq!(split(&[0, 0], &[0.9, 0.1]).observed, [0.0; 0]);
    }

    #[test]
    fn weight_0_is_never_chosen_by_chance() {
        assert_eq!(split(&[100, 1], &[1.0, 0.0]).chance, Some(0.0));
        assert_eq!(split(&[100, 0], &[1.0, 0.0]).chance, Some(1.0));
    }

    #[test]
    fn turns_are_as_near_as_they_can_be() {
        let turns = split(&[91, 10], &[0.9, 0.1]);
        assert!((turns.farthest(&[0.9, 0.1]) - 0.1).abs() < 1e-9);
    }
}
