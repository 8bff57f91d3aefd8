//! `cargo xtask bench programs --compare`: what has moved since an earlier run, beyond noise.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// As the benchmark writes it.
#[derive(Deserialize)]
pub(super) struct Figures {
    kernel: String,
    threads: u32,
    /// By case and program.
    cases: BTreeMap<String, BTreeMap<String, Program>>,
    sizes: BTreeMap<String, Size>,
}

#[derive(Deserialize)]
struct Program {
    net: Spread,
}

/// Of the rounds, nanoseconds for a run.
#[derive(Deserialize)]
struct Spread {
    least: f64,
    median: f64,
    greatest: f64,
}

#[derive(Deserialize)]
struct Size {
    jited: u32,
}

impl Figures {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not of `bench programs`", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        Ok(serde_json::from_str(text)?)
    }

    /// What is other now than it was before, as a table. Where no round of the one is among those of the other, that is
    /// no noise: of nine rounds each it comes by chance once in 24,310 times in each direction.
    pub(super) fn moved_since(&self, before: &Self) -> Result<String> {
        ensure!(
            self.kernel == before.kernel && self.threads == before.threads,
            "the earlier figures are of Linux {} with {} threads, and these of Linux {} with {}",
            before.kernel,
            before.threads,
            self.kernel,
            self.threads
        );
        let mut rows = String::new();
        for case in names(&self.cases, &before.cases) {
            let of = |figures: &'_ Self| figures.cases.get(case).into_iter().flatten().count();
            if of(self) == 0 || of(before) == 0 {
                let what = if of(self) == 0 { "is not measured any more" } else { "is new" };
                let _ = writeln!(rows, "| {case} | | | | {what} |");
                continue;
            }
            let (now, then) = (&self.cases[case], &before.cases[case]);
            for name in names(now, then) {
                match (then.get(name), now.get(name)) {
                    (Some(then), Some(now)) if now.net.is_apart_from(&then.net) => {
                        let (then, now) = (then.net.median, now.net.median);
                        let _ =
                            writeln!(rows, "| {case} | {name} | {then:.0} | {now:.0} | {:+.0} |", now - then);
                    }
                    (Some(_), Some(_)) => {}
                    (then, _) => {
                        let what = if then.is_some() { "does not run any more" } else { "is new" };
                        let _ = writeln!(rows, "| {case} | {name} | | | {what} |");
                    }
                }
            }
        }
        for name in names(&self.sizes, &before.sizes) {
            let size = |figures: &Self| figures.sizes.get(name).map_or(0, |size| size.jited);
            let (then, now) = (size(before), size(self));
            if then != now {
                let more = i64::from(now) - i64::from(then);
                let _ = writeln!(rows, "| bytes, jited | {name} | {then} | {now} | {more:+} |");
            }
        }
        if rows.is_empty() {
            return Ok("nothing has moved beyond noise\n".to_owned());
        }
        Ok(format!("| Connections | Program | before | now | |\n|---|---|---:|---:|---:|\n{rows}"))
    }
}

impl Spread {
    /// By a nanosecond at least, or an instruction, and in all rounds.
    fn is_apart_from(&self, other: &Self) -> bool {
        (self.median - other.median).abs() >= 1.0
            && (self.greatest < other.least || other.greatest < self.least)
    }
}

/// Of both, each once.
fn names<'a, T>(one: &'a BTreeMap<String, T>, other: &'a BTreeMap<String, T>) -> BTreeSet<&'a str> {
    one.keys().chain(other.keys()).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(kernel: &str, connect4: [f64; 3], more: &str, jited: u32) -> Figures {
        let [least, median, greatest] = connect4;
        let net = format!(
            r#"{{"runs": 1.0, "net": {{"least": {least}, "median": {median}, "greatest": {greatest}}}}}"#
        );
        let text = format!(
            r#"{{"kernel": "{kernel}", "rounds": 9, "connections": 2000, "threads": 1,
                "measuring": {{"least": 57, "median": 60, "greatest": 70}},
                "cases": {{"routed": {{"connect4": {net}{more}}}}},
                "sizes": {{"connect4": {{"translated": 10, "jited": {jited}}}}}}}"#
        );
        Figures::parse(&text).unwrap()
    }

    #[test]
    fn what_overlaps_or_is_less_than_an_instruction_has_not_moved() {
        let before = figures("6.12", [480.0, 500.0, 520.0], "", 7000);
        for now in [[519.0, 540.0, 560.0], [520.1, 500.9, 520.2]] {
            let same = figures("6.12", now, "", 7000);
            assert_eq!(same.moved_since(&before).unwrap(), "nothing has moved beyond noise\n");
        }
    }

    #[test]
    fn what_is_apart_has_moved_in_either_direction() {
        let before = figures("6.12", [480.0, 500.0, 520.0], "", 7000);
        for (now, row) in [
            ([521.0, 540.0, 560.0], "| routed | connect4 | 500 | 540 | +40 |"),
            ([400.0, 410.0, 479.0], "| routed | connect4 | 500 | 410 | -90 |"),
        ] {
            let moved = figures("6.12", now, "", 7000).moved_since(&before).unwrap();
            assert_eq!(moved.lines().nth(2), Some(row), "{moved}");
            assert_eq!(moved.lines().count(), 3, "{moved}");
        }
    }

    #[test]
    fn programs_that_come_and_go_and_sizes_are_told() {
        let net = r#", "sock_ops": {"net": {"least": 1, "median": 1, "greatest": 1}}"#;
        let before = figures("6.12", [1.0; 3], net, 7000);
        let moved = figures("6.12", [1.0; 3], "", 6990).moved_since(&before).unwrap();
        assert!(moved.contains("| routed | sock_ops | | | does not run any more |"), "{moved}");
        assert!(moved.contains("| bytes, jited | connect4 | 7000 | 6990 | -10 |"), "{moved}");
        let back = before.moved_since(&figures("6.12", [1.0; 3], "", 7000)).unwrap();
        assert!(back.contains("| routed | sock_ops | | | is new |"), "{back}");
    }

    #[test]
    fn figures_of_different_kernels_are_not_compared() {
        let before = figures("6.1", [1.0; 3], "", 7000);
        let error = figures("6.12", [1.0; 3], "", 7000).moved_since(&before).unwrap_err();
        assert!(error.to_string().contains("Linux 6.1 with 1 threads"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        assert!(Figures::parse(r#"{"contenders": []}"#).is_err());
    }
}
