//! Steps done one after the other, and the table of them at the end.

use std::{
    fmt::{self, Display},
    time::{Duration, Instant},
};

use anyhow::Result;

/// What became of the steps so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

#[derive(Debug)]
enum Outcome {
    Passed,
    Skipped(String),
    Failed,
}

impl Report {
    /// Announces a step, does it, and notes what became of it.
    pub(crate) fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        self.optional_step(name, || work().map(|()| None))
    }

    /// A step that may find that it cannot be done here, and says why.
    pub(crate) fn optional_step(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<Option<String>>,
    ) -> Result<()> {
        eprintln!("\n== {name}");
        let start = Instant::now();
        let result = work();
        let outcome = match &result {
            Ok(None) => Outcome::Passed,
            Ok(Some(why)) => {
                eprintln!("{name} skipped: {why}");
                Outcome::Skipped(why.clone())
            }
            Err(_) => Outcome::Failed,
        };
        self.steps.push(Step { name, outcome, took: start.elapsed() });
        result.map(drop)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Step { name, outcome, took } in &self.steps {
            let (word, why) = match outcome {
                Outcome::Passed => ("ok", ""),
                Outcome::Skipped(why) => ("skipped", why.as_str()),
                Outcome::Failed => ("FAILED", ""),
            };
            let line = format!("{name:<20} {word:<8} {:>6.1} s  {why}", took.as_secs_f64());
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn the_table_tells_what_became_of_each_step() {
        let mut report = Report::default();
        report.step("one", || Ok(())).unwrap();
        report.optional_step("two", || Ok(Some("no root".to_owned()))).unwrap();
        report.step("three", || bail!("broken")).unwrap_err();
        let words: Vec<Vec<_>> = report
            .to_string()
            .lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect();
        assert_eq!(words[0][..2], ["one", "ok"]);
        assert_eq!(words[1][..2], ["two", "skipped"]);
        assert_eq!(words[1][4..], ["no", "root"]);
        assert_eq!(words[2][..2], ["three", "FAILED"]);
    }
}
