//! What became of each kernel test, read off what the test binaries print: on a guest's console, or here.

use std::collections::{BTreeMap, BTreeSet};

use crate::verified::{self, Verified};

/// What was printed.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    tests: BTreeMap<String, Outcome>,
    /// Each as `test: reason`.
    skipped: Vec<String>,
    failures: String,
    last: Vec<String>,
    programs: BTreeMap<String, Verified>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    Skipped,
    /// Begun, and it never came to its end.
    Unfinished,
}

/// So many lines tell how it ended.
const LAST: usize = 30;

impl Outcomes {
    pub(crate) fn read(printed: &str) -> Self {
        let mut outcomes = Self::default();
        let mut binary = "";
        let mut in_failures = false;
        for line in printed.lines() {
            if let Some(name) = begun(line) {
                binary = name;
                outcomes.tests.insert(format!("{binary}::"), Outcome::Unfinished);
            } else if line.starts_with("test result:") {
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
            } else if let Some((program, verified)) = verified::read(line) {
                outcomes.programs.insert(program, verified);
            }
            in_failures |= line == "failures:";
            if in_failures {
                outcomes.failures.extend([line, "\n"]);
            }
        }
        let lines: Vec<&str> = printed.lines().collect();
        outcomes.last = lines.iter().rev().take(LAST).rev().map(|&line| line.to_owned()).collect();
        outcomes
    }

    fn count(&self, which: &[Outcome]) -> usize {
        self.tests.values().filter(|outcome| which.contains(outcome)).count()
    }

    pub(crate) fn passed(&self) -> usize {
        self.count(&[Outcome::Passed])
    }

    /// A test binary that did not come to its end counts as a test.
    pub(crate) fn failed(&self) -> usize {
        self.count(&[Outcome::Failed, Outcome::Unfinished])
    }

    pub(crate) fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// What the tests that failed have printed.
    pub(crate) fn failures(&self) -> &str {
        &self.failures
    }

    pub(crate) fn last_lines(&self) -> String {
        self.last.join("\n")
    }

    /// What became of a test.
    pub(crate) fn of(&self, test: &str) -> Option<Outcome> {
        self.tests.get(test).copied()
    }

    /// What the verifier thinks of each program.
    pub(crate) const fn programs(&self) -> &BTreeMap<String, Verified> {
        &self.programs
    }
}

impl Outcome {
    /// In a word.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
            Self::Unfinished => "unfinished",
        }
    }
}

/// The test binary that a line says is begun: the words of a guest's first process, or cargo's.
fn begun(line: &str) -> Option<&str> {
    if let Some(name) = line.strip_prefix("vm: begin ") {
        return Some(name);
    }
    let path = line.trim_start().strip_prefix("Running ")?.rsplit_once('(')?.1.trim_end_matches(')');
    // cargo puts a hash behind the name.
    Some(path.rsplit_once('/')?.1.rsplit_once('-')?.0)
}

/// Every test that any of them names, as `binary::test`.
pub(crate) fn names<'a>(all: impl Iterator<Item = &'a Outcomes>) -> BTreeSet<&'a str> {
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

    const CONSOLE: &str = r#"vm: kernel 5.10.0
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
     Running tests/verifier/main.rs (target/debug/deps/verifier-0b1)
test e ... ok
VERIFIED {"program":"connect4","instructions":651,"states":47,"stack":112,"translated":4264,"jited":2289}
test result: ok. 1 passed
vm: begin sockets
test d has been running for over 60 seconds
"#;

    #[test]
    fn each_test_has_its_outcome() {
        let outcomes = Outcomes::read(CONSOLE);
        let words: Vec<(&str, &str)> = names([&outcomes].into_iter())
            .into_iter()
            .map(|name| (name, outcomes.of(name).unwrap().word()))
            .collect();
        assert_eq!(
            words,
            [
                ("sockets::", "unfinished"),
                ("split::a", "ok"),
                ("split::b", "FAILED"),
                ("split::c", "skipped"),
                ("verifier::e", "ok"),
            ]
        );
        assert_eq!((outcomes.passed(), outcomes.failed()), (2, 2));
        assert_eq!(outcomes.skipped(), ["c: needs a newer kernel", "java: it is not installed"]);
        assert_eq!(outcomes.failures(), "failures:\n---- b stdout ----\nthread 'b' panicked\n");
        assert!(outcomes.last_lines().ends_with("over 60 seconds"));
        assert_eq!(outcomes.of("split::x"), None);
        assert_eq!(outcomes.programs()["connect4"].instructions, 651);
    }
}
