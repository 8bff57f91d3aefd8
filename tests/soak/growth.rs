//! Whether something grows: the first quarter of its values against the last.

/// What may be more in the end: a part of it, and a number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) factor: f64,
    pub(crate) more: f64,
}

/// Values of one thing in the order of time.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) bound: Bound,
    values: Vec<f64>,
}

/// Fewer say nothing.
const FEWEST: usize = 8;

impl Series {
    pub(crate) const fn new(name: &'static str, factor: f64, more: f64) -> Self {
        Self { name, bound: Bound { factor, more }, values: Vec::new() }
    }

    pub(crate) fn push(&mut self, value: f64) {
        self.values.push(value);
    }

    pub(crate) fn clear(&mut self) {
        self.values.clear();
    }

    pub(crate) fn last(&self) -> Option<f64> {
        self.values.last().copied()
    }

    /// The medians of the first quarter and of the last.
    pub(crate) fn quarters(&self) -> Option<(f64, f64)> {
        let quarter = self.values.len() / 4;
        (self.values.len() >= FEWEST)
            .then(|| (median(&self.values[..quarter]), median(&self.values[self.values.len() - quarter..])))
    }

    /// In a line, and whether it stays within the bound.
    pub(crate) fn judge(&self) -> (String, bool) {
        let (name, count) = (self.name, self.values.len());
        let Some((first, last)) = self.quarters() else {
            return (format!("{name}: {count} values are too few to judge"), true);
        };
        let most = first.mul_add(self.bound.factor, self.bound.more);
        let text =
            format!("{name}: {first:.0} in the first quarter, {last:.0} in the last, at most {most:.0}");
        (text, last <= most)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(values: impl IntoIterator<Item = u32>) -> bool {
        let mut series = Series::new("memory", 1.1, 2.0);
        values.into_iter().for_each(|value| series.push(f64::from(value)));
        series.judge().1
    }

    #[test]
    fn what_grows_is_found_and_what_moves_is_not() {
        assert!(judged([10; 40]));
        assert!(judged((0..40).map(|n| 10 + n % 3)));
        assert!(judged((0..40).map(|n| if n == 39 { 1000 } else { 10 })));
        assert!(!judged((0..40).map(|n| 10 + n)));
        assert!(judged([1, 100]), "too few");
    }
}
