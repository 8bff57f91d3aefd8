//! Which connections are told of. By the convention of OpenTelemetry for consistent probabilities a span says how many
//! it stands for, so that a backend can count all.

use std::str::FromStr;

/// The share of connections that are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// What the random part of a trace's number has to reach.
    threshold: u64,
}

/// The random part of a number has so many bits.
const BITS: u32 = 56;

impl Ratio {
    /// Of each.
    pub const ALL: Self = Self { threshold: 0 };

    /// Whether a trace with this number is among them.
    pub(super) fn takes(self, trace: u128) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "the random part is at its end")]
        let random = trace as u64 & ((1 << BITS) - 1);
        random >= self.threshold
    }

    /// What a span says of it (`tracestate`).
    pub(super) fn state(self) -> String {
        if self == Self::ALL {
            return String::new();
        }
        let digits = format!("{:014x}", self.threshold);
        format!("ot=th:{}", digits.trim_end_matches('0'))
    }
}

impl FromStr for Ratio {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "must be a number above 0 up to 1, such as 0.1 for every tenth";
        let ratio: f64 = text.parse().map_err(|_| wrong)?;
        // Less than this would be none.
        let least = f64::powi(2.0, -50);
        if !(least..=1.0).contains(&ratio) {
            return Err(wrong);
        }
        let all = f64::powi(2.0, 56);
        #[expect(clippy::cast_sign_loss, reason = "it is from 0 up to 1")]
        let threshold = ((1.0 - ratio) * all).round() as u64;
        Ok(Self { threshold })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(text: &str) -> Ratio {
        text.parse().unwrap()
    }

    #[test]
    fn spans_say_how_many_they_stand_for() {
        for (text, state) in
            [("1", ""), ("0.5", "ot=th:8"), ("0.25", "ot=th:c"), ("0.125", "ot=th:e"), ("0.0625", "ot=th:f")]
        {
            assert_eq!(ratio(text).state(), state, "{text}");
        }
        for wrong in ["0", "-1", "1.1", "all", "", "NaN", "inf", "1e-300"] {
            assert!(wrong.parse::<Ratio>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_random_part_decides() {
        let half = ratio("0.5");
        assert!(half.takes(1 << 55) && half.takes((1 << 56) - 1));
        assert!(!half.takes((1 << 55) - 1), "what is before it has no say");
        assert!(!half.takes(u128::MAX << 56));
        assert!(Ratio::ALL.takes(0));
        let mut random = fastrand::Rng::with_seed(7);
        let taken = (0..10_000).filter(|_| ratio("0.1").takes(random.u128(..))).count();
        assert!((850..1150).contains(&taken), "{taken} of 10,000");
    }
}
