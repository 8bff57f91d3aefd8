//! Pearson's chi-square test: is an observed split explainable by chance?

use statrs::distribution::{ChiSquared, ContinuousCDF as _};

/// The standard normal quantile of 1 - 1e-6: one good build in a million fails.
const Z: f64 = 4.753_424;

/// Panics, and prints the counts, if counts like these come about with a chance of less than 1e-6 when each
/// has its expected share. A share of 0 must have a count of 0.
pub fn assert_split(what: &str, counts: &[(u64, f64)]) {
    let total: u64 = counts.iter().map(|(count, _)| count).sum();
    println!("{what}: {counts:?} of {total}");
    assert!(total > 0, "{what}: no connections");
    let impossible = counts.iter().any(|&(count, share)| share == 0.0 && count > 0);
    assert!(!impossible, "{what}: a share of 0 has connections: {counts:?}");
    let statistic = statistic(counts);
    let freedom = counts.iter().filter(|(_, share)| *share > 0.0).count() - 1;
    let critical = critical_value(u32::try_from(freedom).unwrap_or(u32::MAX));
    assert!(statistic <= critical, "{what}: chi-square {statistic:.1} > {critical:.1}: {counts:?}");
}

/// Chi-square of counts and the shares that they should have.
pub fn statistic(counts: &[(u64, f64)]) -> f64 {
    let total = as_f64(counts.iter().map(|(count, _)| count).sum());
    let possible = counts.iter().filter(|(_, share)| *share > 0.0);
    possible.map(|&(count, share)| (as_f64(count) - share * total).powi(2) / (share * total)).sum()
}

/// The value that chi-square exceeds with a chance of 1e-6: exact for one and two degrees of freedom, above by
/// the approximation of Wilson and Hilferty (1931), which is up to 6 % too generous.
pub fn critical_value(freedom: u32) -> f64 {
    match freedom {
        0 => 0.0,
        1 => 23.928,
        2 => 27.631,
        _ => {
            let k = f64::from(freedom);
            let c = 2.0 / (9.0 * k);
            k * (1.0 - c + Z * c.sqrt()).powi(3)
        }
    }
}

/// With what chance a split comes about that is at least so far from these shares.
pub fn p_value(counts: &[(u64, f64)]) -> f64 {
    let possible = counts.iter().filter(|(_, share)| *share > 0.0).count();
    let freedom = f64::from(u32::try_from(possible.saturating_sub(1)).unwrap_or(u32::MAX));
    // Without freedom there is nothing that could be otherwise.
    ChiSquared::new(freedom).map_or(1.0, |distribution| distribution.sf(statistic(counts)))
}

/// Exactly, up to four thousand million.
pub fn as_f64(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn critical_values_are_those_of_the_tables() {
        // R: qchisq(1e-6, k, lower.tail = FALSE)
        for (freedom, exact) in [(3, 30.665), (5, 35.888), (10, 47.0)] {
            let near = critical_value(freedom);
            assert!((near / exact - 1.0).abs() < 0.07, "{freedom}: {near} against {exact}");
        }
    }

    #[test]
    fn chances_are_those_of_the_tables() {
        // R: pchisq(1, 1, lower.tail = FALSE); pchisq(23.928, 1, lower.tail = FALSE)
        assert!((p_value(&[(9030, 0.9), (970, 0.1)]) - 0.317_310_5).abs() < 1e-6);
        let rare = p_value(&[(8_853_252, 0.9), (990_652, 0.1)]);
        assert!(rare < 1e-6, "{rare}");
        assert!((p_value(&[(900, 0.9), (100, 0.1)]) - 1.0).abs() < 1e-9);
        assert!((p_value(&[(900, 1.0)]) - 1.0).abs() < 1e-9);
        assert!((critical_value(1) - 23.928).abs() < 1e-9);
    }

    #[test]
    #[should_panic(expected = "chi-square")]
    fn a_wrong_split_fails() {
        assert_split("wrong", &[(8800, 0.9), (1200, 0.1)]);
    }

    #[test]
    #[should_panic(expected = "share of 0")]
    fn traffic_to_weight_zero_fails() {
        assert_split("zero", &[(9999, 1.0), (1, 0.0)]);
    }
}
