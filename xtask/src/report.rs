//! Steps done one after the other, each with a log of its own, and the table of them at the end.

use std::{
    fmt::{self, Display},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::command;

/// What became of the steps so far.
#[derive(Debug)]
pub(crate) struct Report {
    logs: PathBuf,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    ending: Ending,
    took: Duration,
    log: PathBuf,
}

#[derive(Debug)]
enum Ending {
    Passed,
    Skipped(String),
    Failed,
}

/// So many lines of a log are shown of a step that failed.
const SHOWN: usize = 200;

impl Report {
    /// What the steps' programs say goes into files in this directory.
    pub(crate) fn new(logs: PathBuf) -> Result<Self> {
        fs::create_dir_all(&logs)?;
        Ok(Self { logs, steps: Vec::new() })
    }

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
        eprintln!("== {name}");
        let log = self.log(name);
        command::log_to(Some(&log))?;
        let start = Instant::now();
        let result = work();
        command::log_to(None)?;
        let ending = match &result {
            Ok(None) => Ending::Passed,
            Ok(Some(why)) => Ending::Skipped(why.clone()),
            Err(_) => Ending::Failed,
        };
        self.steps.push(Step { name, ending, took: start.elapsed(), log });
        result.map(drop)
    }

    /// Where the programs of a step say what they say.
    pub(crate) fn log(&self, step: &str) -> PathBuf {
        self.logs.join(format!("{}.log", step.replace([' ', '(', ')'], "-")))
    }

    /// What a person needs to know of the step that failed.
    pub(crate) fn complaint(&self) -> String {
        let failed = self.steps.iter().filter(|step| matches!(step.ending, Ending::Failed));
        let complaint = |step: &Step| {
            let Step { name, log, .. } = step;
            format!("\n== {name} (all of it: {})\n{}\n", log.display(), excerpt(log))
        };
        failed.map(complaint).collect::<Vec<_>>().concat()
    }
}

/// The tests that failed, or else the end.
fn excerpt(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let failures = lines.iter().position(|&line| line == "failures:");
    let shown = match failures {
        Some(first) => &lines[first..lines.len().min(first + SHOWN)],
        None => &lines[lines.len().saturating_sub(SHOWN)..],
    };
    shown.join("\n")
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Step { name, ending, took, .. } in &self.steps {
            let (word, why) = match ending {
                Ending::Passed => ("ok", ""),
                Ending::Skipped(why) => ("SKIPPED", why.as_str()),
                Ending::Failed => ("FAILED", ""),
            };
            let line = format!("{name:<20} {word:<8} {:>6.1} s  {why}", took.as_secs_f64());
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use anyhow::bail;

    use super::*;

    #[test]
    fn the_table_tells_what_became_of_each_step() {
        let logs = std::env::temp_dir().join(format!("xtask-report-{}", std::process::id()));
        let mut report = Report::new(logs.clone()).unwrap();
        report.step("one", || Ok(())).unwrap();
        report.optional_step("two", || Ok(Some("no root".to_owned()))).unwrap();
        let echo = ["-c", "echo passing; echo failures:; echo broken >&2"];
        report
            .step("three", || command::run(Command::new("sh").args(echo)).and_then(|()| bail!("broken")))
            .unwrap_err();
        let complaint = report.complaint();
        fs::remove_dir_all(&logs).unwrap();
        let words: Vec<Vec<_>> = report
            .to_string()
            .lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect();
        assert_eq!(words[0][..2], ["one", "ok"]);
        assert_eq!(words[1][..2], ["two", "SKIPPED"]);
        assert_eq!(words[1][4..], ["no", "root"]);
        assert_eq!(words[2][..2], ["three", "FAILED"]);
        assert!(
            complaint.contains("== three") && complaint.ends_with("\nfailures:\nbroken\n"),
            "{complaint}"
        );
    }
}
