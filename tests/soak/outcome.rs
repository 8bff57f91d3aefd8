//! What may become of a connection, and how likely.

use std::{collections::BTreeMap, fmt, net::SocketAddr};

/// What became of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The server that listens there answered.
    Reached(SocketAddr),
    /// connect() failed as it does for a backend without endpoint.
    Refused,
}

/// The chance of each outcome. Those that cannot be are not in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Distribution(BTreeMap<Outcome, f64>);

impl Distribution {
    /// There is but one outcome.
    pub(crate) fn only(outcome: Outcome) -> Self {
        Self([(outcome, 1.0)].into())
    }

    /// Of backends with weights, each with its endpoints. A backend without endpoint keeps its share and refuses.
    pub(crate) fn split(backends: &[(f64, Vec<SocketAddr>)]) -> Self {
        let sum: f64 = backends.iter().map(|(weight, _)| weight).sum();
        let mut chances: BTreeMap<Outcome, f64> = BTreeMap::new();
        for (weight, endpoints) in backends.iter().filter(|(weight, _)| *weight > 0.0) {
            let share = weight / sum;
            if endpoints.is_empty() {
                *chances.entry(Outcome::Refused).or_default() += share;
            }
            for &endpoint in endpoints {
                let count = f64::from(u32::try_from(endpoints.len()).unwrap_or(u32::MAX));
                *chances.entry(Outcome::Reached(endpoint)).or_default() += share / count;
            }
        }
        if chances.is_empty() { Self::only(Outcome::Refused) } else { Self(chances) }
    }

    pub(crate) fn allows(&self, outcome: Outcome) -> bool {
        self.0.contains_key(&outcome)
    }

    /// Whether there is a choice.
    pub(crate) fn is_choice(&self) -> bool {
        self.0.len() > 1
    }

    /// The interval of `[0, 1)` that an outcome takes up when all are laid out one after the other.
    pub(crate) fn interval(&self, outcome: Outcome) -> (f64, f64) {
        let before = self.0.range(..outcome).map(|(_, chance)| chance).sum();
        (before, self.0.get(&outcome).copied().unwrap_or_default())
    }
}

/// But for what computing with floating point costs.
impl PartialEq for Distribution {
    fn eq(&self, other: &Self) -> bool {
        let near = |((a, x), (b, y)): ((&Outcome, &f64), (&Outcome, &f64))| a == b && (x - y).abs() < 1e-9;
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(near)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reached(address) => write!(f, "{address}"),
            Self::Refused => f.write_str("refused"),
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chances = self.0.iter().map(|(outcome, chance)| format!("{outcome} {:.2} %", chance * 100.0));
        f.write_str(&chances.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn an_endpoint_of_two_backends_has_both_shares() {
        let split = Distribution::split(&[(3.0, vec![at(1), at(2)]), (1.0, vec![at(2)]), (0.0, vec![at(3)])]);
        assert_eq!(split.interval(Outcome::Reached(at(1))), (0.0, 0.375));
        assert_eq!(split.interval(Outcome::Reached(at(2))), (0.375, 0.625));
        assert!(!split.allows(Outcome::Reached(at(3))));
        assert!(!split.allows(Outcome::Refused));
    }

    #[test]
    fn a_backend_without_endpoint_keeps_its_share() {
        let split = Distribution::split(&[(1.0, vec![at(1)]), (3.0, vec![])]);
        assert_eq!(split.interval(Outcome::Refused), (0.25, 0.75));
        assert_eq!(Distribution::split(&[(0.0, vec![at(1)])]), Distribution::only(Outcome::Refused));
    }
}
