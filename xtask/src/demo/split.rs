//! The observed split beside the configured one: the table, and whether chance explains the difference.

use std::fmt::{self, Display};

/// A difference less likely than this is taken for a fault: one good run in a million is blamed wrongly.
const IMPLAUSIBLE: f64 = 1e-6;

/// One backendRef with its endpoints.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) label: &'static str,
    /// Its weight divided by the sum of all weights.
    pub(super) share: f64,
    pub(super) endpoints: Vec<Endpoint>,
}

/// An endpoint with the connections that it got.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) address: String,
    pub(super) connections: u32,
}

impl Backend {
    fn connections(&self) -> u32 {
        self.endpoints.iter().map(|endpoint| endpoint.connections).sum()
    }

    /// A backend's share is split evenly among its endpoints.
    fn share_of_each(&self) -> f64 {
        self.share / as_f64(self.endpoints.len())
    }
}

/// How the connections of one client were split.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) backends: Vec<Backend>,
}

impl Split {
    fn total(&self) -> u32 {
        self.backends.iter().map(Backend::connections).sum()
    }

    /// How the connections that a backend got are split among its endpoints, in words; for the first backend
    /// with several.
    pub(super) fn within(&self) -> Option<String> {
        let backend = self.backends.iter().find(|backend| backend.endpoints.len() > 1)?;
        let parts: Vec<_> = backend
            .endpoints
            .iter()
            .map(|endpoint| percent(ratio(endpoint.connections, backend.connections())))
            .collect();
        Some(format!("Within {}, split evenly by the policy: {}", backend.label, parts.join(" to ")))
    }

    /// Pearson's test of the counts of all endpoints: it judges the weights and the even split of each
    /// backend among its endpoints at once.
    pub(super) fn chance(&self) -> Chance {
        let total = f64::from(self.total());
        let cells = self.backends.iter().flat_map(|backend| {
            backend.endpoints.iter().map(|endpoint| (endpoint.connections, backend.share_of_each() * total))
        });
        let (mut statistic, mut count) = (0.0, 0_u32);
        for (observed, expected) in cells {
            statistic += (f64::from(observed) - expected).powi(2) / expected;
            count += 1;
        }
        Chance { statistic, freedom: count.saturating_sub(1) }
    }
}

impl Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        let mut row = |label: &str, share: &str, observed: &str, connections: &str| {
            writeln!(f, "    {label:<22}{share:>12}{observed:>12}{connections:>14}")
        };
        row("backend", "configured", "observed", "connections")?;
        let mut counted = |label: &str, share, connections| {
            let observed = percent(ratio(connections, total));
            row(label, &percent(share), &observed, &grouped(connections))
        };
        for backend in &self.backends {
            counted(backend.label, backend.share, backend.connections())?;
            for endpoint in &backend.endpoints {
                let label = format!("  {}", endpoint.address);
                counted(&label, backend.share_of_each(), endpoint.connections)?;
            }
        }
        Ok(())
    }
}

/// The result of a chi-square test.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance {
    statistic: f64,
    freedom: u32,
}

impl Chance {
    /// How likely a difference at least as large is if each connection is drawn by the weights.
    fn p_value(self) -> f64 {
        upper_tail(self.statistic, self.freedom)
    }

    /// Whether chance explains the difference.
    pub(super) fn is_plausible(self) -> bool {
        self.p_value() >= IMPLAUSIBLE
    }
}

impl Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_plausible() { "explained by chance" } else { "NOT explained by chance" };
        let Self { statistic, freedom } = self;
        write!(f, "{verdict}: chi-square {statistic:.2}, {freedom} degrees of freedom, ")?;
        match self.p_value() {
            tiny if tiny < 0.001 => write!(f, "p = {tiny:.1e}"),
            p => write!(f, "p = {p:.3}"),
        }
    }
}

/// How likely chi-square of that many degrees of freedom exceeds `x`: the first terms of a Poisson
/// distribution of mean x/2 if they are even. Odd ones would need the error function, which no table here has.
fn upper_tail(x: f64, freedom: u32) -> f64 {
    debug_assert!(freedom.is_multiple_of(2), "no closed form for {freedom} degrees of freedom");
    if freedom == 0 {
        return 1.0;
    }
    let half = x / 2.0;
    let (mut term, mut sum) = (1.0, 1.0);
    for i in 1..freedom / 2 {
        term *= half / f64::from(i);
        sum += term;
    }
    sum * (-half).exp()
}

fn ratio(part: u32, whole: u32) -> f64 {
    f64::from(part) / f64::from(whole.max(1))
}

fn as_f64(length: usize) -> f64 {
    u32::try_from(length).map_or(f64::INFINITY, f64::from)
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// With a comma between the thousands.
pub(super) fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(counts: [u32; 3]) -> Split {
        let endpoint = |i: usize| Endpoint { address: format!("10.0.0.{i}:1"), connections: counts[i] };
        Split {
            backends: vec![
                Backend { label: "one", share: 0.9, endpoints: vec![endpoint(0), endpoint(1)] },
                Backend { label: "two", share: 0.1, endpoints: vec![endpoint(2)] },
            ],
        }
    }

    #[test]
    fn p_values_are_those_of_the_tables() {
        // R: pchisq(x, k, lower.tail = FALSE)
        for (x, freedom, exact) in
            [(5.991_465, 2, 0.05), (9.210_34, 2, 0.01), (9.487_729, 4, 0.05), (18.307_04, 10, 0.05)]
        {
            let p = upper_tail(x, freedom);
            assert!((p - exact).abs() < 1e-6, "{x}, {freedom}: {p} against {exact}");
        }
    }

    #[test]
    fn only_a_wrong_split_is_implausible() {
        for (counts, plausible) in [
            ([4500, 4500, 1000], true),
            ([4460, 4580, 960], true),
            ([4400, 4400, 1200], false),
            ([4000, 5000, 1000], false),
            ([4500, 5500, 0], false),
        ] {
            let chance = split(counts).chance();
            assert_eq!(chance.is_plausible(), plausible, "{counts:?}: {chance}");
        }
        assert_eq!(
            split([4400, 4600, 1000]).chance().to_string(),
            "explained by chance: chi-square 4.44, 2 degrees of freedom, p = 0.108"
        );
    }

    #[test]
    fn the_table_is_aligned() {
        let split = split([4460, 4580, 960]);
        assert_eq!(
            split.to_string(),
            "    backend                 configured    observed   connections
    one                        90.00 %     90.40 %         9,040
      10.0.0.0:1               45.00 %     44.60 %         4,460
      10.0.0.1:1               45.00 %     45.80 %         4,580
    two                        10.00 %      9.60 %           960
      10.0.0.2:1               10.00 %      9.60 %           960
"
        );
        assert_eq!(split.within().unwrap(), "Within one, split evenly by the policy: 49.34 % to 50.66 %");
    }

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
