//! What became of each test, read off a guest's console.

use std::collections::{BTreeMap, BTreeSet};

/// What a console tells.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    tests: BTreeMap<String, Outcome>,
    /// Each as `test: reason`.
    skipped: Vec<String>,
    failures: String,
    last: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
    /// Begun, and the guest ended.
    Unfinished,
}

/// So many lines of a console tell how it ended.
const LAST: usize = 30;

impl Outcomes {
    pub(super) fn read(console: &str) -> Self {
        let mut outcomes = Self::default();
        let mut binary = "";
        let mut in_failures = false;
        for line in console.lines() {
            if let Some(name) = line.strip_prefix("vm: begin ") {
                binary = name;
                outcomes.tests.insert(format!("{binary}::"), Outcome::Unfinished);
            } else if line == "vm: end" {
                outcomes.tests.remove(&format!("{binary}::"));
                in_failures = false;
            } else if let Some((name, outcome)) = result(line) {
                outcomes.tests.insert(format!("{binary}::{name}"), outcome);
            } else if let Some(skipped) = line.strip_prefix("SKIPPED ") {
                let test = skipped.split([':', ' ']).next().unwrap_or_default();
                let whole = outcomes.tests.get_mut(&format!("{binary}::{test}"));
                // Else a part of a test was skipped, and the rest of it was not.
                if let Some(outcome) = whole.filter(|_| skipped.starts_with(&format!("{test}:"))) {
                    *outcome = Outcome::Skipped;
                }
                outcomes.skipped.push(skipped.to_owned());
            }
            in_failures = (in_failures || line == "failures:") && !line.starts_with("test result:");
            if in_failures {
                outcomes.failures.extend([line, "\n"]);
            }
        }
        let lines: Vec<&str> = console.lines().collect();
        outcomes.last = lines.iter().rev().take(LAST).rev().map(|&line| line.to_owned()).collect();
        outcomes
    }

    fn count(&self, which: &[Outcome]) -> usize {
        self.tests.values().filter(|outcome| which.contains(outcome)).count()
    }

    pub(super) fn passed(&self) -> usize {
        self.count(&[Outcome::Passed])
    }

    /// A test binary that did not come to its end counts as a test.
    pub(super) fn failed(&self) -> usize {
        self.count(&[Outcome::Failed, Outcome::Unfinished])
    }

    pub(super) fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// What the tests that failed have printed.
    pub(super) fn failures(&self) -> &str {
        &self.failures
    }

    pub(super) fn last_lines(&self) -> String {
        self.last.join("\n")
    }

    /// What became of a test, in a word.
    pub(super) fn word(&self, test: &str) -> &'static str {
        match self.tests.get(test) {
            Some(Outcome::Passed) => "ok",
            Some(Outcome::Failed) => "FAILED",
            Some(Outcome::Skipped) => "skipped",
            Some(Outcome::Unfinished) => "unfinished",
            None => "-",
        }
    }
}

/// Every test that any of the consoles names.
pub(super) fn names<'a>(all: impl Iterator<Item = &'a Outcomes>) -> BTreeSet<&'a str> {
    all.flat_map(|outcomes| outcomes.tests.keys().map(String::as_str)).collect()
}

/// `test name ... ok`, as libtest prints it.
fn result(line: &str) -> Option<(&str, Outcome)> {
    let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let outcome = match outcome {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        _ => return None,
    };
    Some((name, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "\
vm: kernel 5.10.0
vm: begin split
test a ... ok
test b ... FAILED
test c ... ok
successes:
---- c stdout ----
SKIPPED c: needs a newer kernel
---- a stdout ----
SKIPPED java: it is not installed
failures:
---- b stdout ----
thread 'b' panicked
test result: FAILED. 2 passed; 1 failed
vm: end
vm: begin sockets
test d has been running for over 60 seconds
";

    #[test]
    fn each_test_has_its_outcome() {
        let outcomes = Outcomes::read(CONSOLE);
        let words: Vec<(&str, &str)> =
            names([&outcomes].into_iter()).into_iter().map(|name| (name, outcomes.word(name))).collect();
        assert_eq!(
            words,
            [
                ("sockets::", "unfinished"),
                ("split::a", "ok"),
                ("split::b", "FAILED"),
                ("split::c", "skipped"),
            ]
        );
        assert_eq!((outcomes.passed(), outcomes.failed()), (1, 2));
        assert_eq!(outcomes.skipped(), ["c: needs a newer kernel", "java: it is not installed"]);
        assert_eq!(outcomes.failures(), "failures:\n---- b stdout ----\nthread 'b' panicked\n");
        assert!(outcomes.last_lines().ends_with("over 60 seconds"));
        assert_eq!(outcomes.word("split::x"), "-");
    }
}
