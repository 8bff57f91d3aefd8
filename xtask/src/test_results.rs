//! What became of each kernel test, read off what the test binaries print: on a guest's console, or here.

use std::collections::{BTreeMap, BTreeSet};

use crate::verified::{self, Verified};

/// What was printed.
#[derive(Debug, Default)]
pub(crate) struct TestResults {
    tests: BTreeMap<String, TestResult>,
    /// Each as `test: reason`.
    skipped: Vec<String>,
    /// Of each test binary that came to its end, in seconds.
    took: BTreeMap<String, f64>,
    failures: String,
    last: Vec<String>,
    programs: BTreeMap<String, Verified>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TestResult {
    Passed,
    Failed,
    Skipped,
    /// Begun, and it never came to its end.
    Unfinished,
}

/// So many lines tell how it ended.
const LAST: usize = 30;

impl TestResults {
    pub(crate) fn read(printed: &str) -> Self {
        let mut results = Self::default();
        let mut binary = "";
        let mut in_failures = false;
        for line in printed.lines() {
            if let Some(name) = begun(line) {
                binary = name;
                results.tests.insert(format!("{binary}::"), TestResult::Unfinished);
            } else if line.starts_with("test result:") {
                results.tests.remove(&format!("{binary}::"));
                results.took.extend(took(line).map(|seconds| (binary.to_owned(), seconds)));
                in_failures = false;
            } else if let Some((name, result)) = result(line) {
                results.tests.insert(format!("{binary}::{name}"), result);
            } else if let Some(skipped) = line.strip_prefix("SKIPPED ") {
                let test = skipped.split([':', ' ']).next().unwrap_or_default();
                // It may be in a module. Else a part of a test was skipped, and the rest of it was not.
                let is_whole = |name: &str| {
                    skipped.starts_with(&format!("{test}:"))
                        && name.strip_prefix(binary).is_some_and(|name| name.ends_with(&format!("::{test}")))
                };
                if let Some((_, result)) = results.tests.iter_mut().find(|(name, _)| is_whole(name)) {
                    *result = TestResult::Skipped;
                }
                results.skipped.push(skipped.to_owned());
            } else if let Some((program, verified)) = verified::read(line) {
                results.programs.insert(program, verified);
            }
            in_failures |= line == "failures:";
            if in_failures {
                results.failures.extend([line, "\n"]);
            }
        }
        let lines: Vec<&str> = printed.lines().collect();
        results.last = lines.iter().rev().take(LAST).rev().map(|&line| line.to_owned()).collect();
        results
    }

    fn count(&self, which: &[TestResult]) -> usize {
        self.tests.values().filter(|result| which.contains(result)).count()
    }

    pub(crate) fn passed(&self) -> usize {
        self.count(&[TestResult::Passed])
    }

    /// A test binary that did not come to its end counts as a test.
    pub(crate) fn failed(&self) -> usize {
        self.count(&[TestResult::Failed, TestResult::Unfinished])
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
    pub(crate) fn of(&self, test: &str) -> Option<TestResult> {
        self.tests.get(test).copied()
    }

    /// How long a test binary took, in seconds.
    pub(crate) fn took(&self, binary: &str) -> Option<f64> {
        self.took.get(binary).copied()
    }

    /// What the verifier thinks of each program.
    pub(crate) const fn programs(&self) -> &BTreeMap<String, Verified> {
        &self.programs
    }
}

impl TestResult {
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
pub(crate) fn names<'a>(all: impl Iterator<Item = &'a TestResults>) -> BTreeSet<&'a str> {
    all.flat_map(|results| results.tests.keys().map(String::as_str)).collect()
}

/// `test name ... ok`, as libtest prints it.
fn result(line: &str) -> Option<(&str, TestResult)> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let result = match result {
        "ok" => TestResult::Passed,
        "FAILED" => TestResult::Failed,
        _ => return None,
    };
    Some((name, result))
}

/// The end of a test binary: `test result: ok. 3 passed; …; finished in 1.25s`.
fn took(line: &str) -> Option<f64> {
    line.rsplit_once("finished in ")?.1.strip_suffix('s')?.parse().ok()
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
test part::f ... ok
SKIPPED f: no API server
VERIFIED {"program":"connect4","instructions":651,"states":47,"stack":112,"translated":4264,"jited":2289}
test result: ok. 1 passed
vm: begin sockets
test d has been running for over 60 seconds
"#;

    #[test]
    fn each_test_has_its_outcome() {
        let results = TestResults::read(CONSOLE);
        let words: Vec<(&str, &str)> = names([&results].into_iter())
            .into_iter()
            .map(|name| (name, results.of(name).unwrap().word()))
            .collect();
        assert_eq!(
            words,
            [
                ("sockets::", "unfinished"),
                ("split::a", "ok"),
                ("split::b", "FAILED"),
                ("split::c", "skipped"),
                ("verifier::e", "ok"),
                ("verifier::part::f", "skipped"),
            ]
        );
        assert_eq!((results.passed(), results.failed()), (2, 2));
        assert_eq!(
            results.skipped(),
            ["c: needs a newer kernel", "java: it is not installed", "f: no API server"]
        );
        assert_eq!(results.failures(), "failures:\n---- b stdout ----\nthread 'b' panicked\n");
        assert!(results.last_lines().ends_with("over 60 seconds"));
        assert_eq!(results.of("split::x"), None);
        assert_eq!(results.programs()["connect4"].instructions, 651);
    }
}
