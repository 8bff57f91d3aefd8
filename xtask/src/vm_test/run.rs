//! The tests on one kernel, and as many kernels at a time as there are processors.

use std::{
    collections::BTreeMap,
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::qemu::{self, Accelerator, Ending};
use crate::{machine::Kernel, test_results::TestResults};

/// Longer than any guest needs, also beside others: the slowest takes a third of it.
const PATIENCE: Duration = Duration::from_mins(45);

/// What one kernel came to.
pub(crate) struct Run {
    pub(super) kernel: Kernel,
    ending: Ending,
    pub(crate) results: TestResults,
    took: Duration,
    /// The whole console.
    log: PathBuf,
    /// The features that `tcproute doctor` tells.
    pub(super) features: BTreeMap<String, Value>,
}

/// An emulated machine keeps a processor busy.
pub(super) fn boot_all(
    guests: Vec<(Kernel, PathBuf)>,
    accelerator: Accelerator,
    directory: &Path,
) -> Result<Vec<Run>> {
    let parallel = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let queue = Mutex::new(guests.into_iter().enumerate());
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..parallel {
            let (queue, sender) = (&queue, sender.clone());
            scope.spawn(move || {
                loop {
                    // The newest ones take longest, and the others fill what time is left beside them.
                    let next = queue.lock().map(|mut queue| queue.next_back());
                    let Ok(Some((i, (kernel, image)))) = next else { return };
                    if sender.send((i, boot(kernel, &image, accelerator, directory))).is_err() {
                        return;
                    }
                }
            });
        }
    });
    drop(sender);
    let mut runs: Vec<(usize, Result<Run>)> = receiver.iter().collect();
    runs.sort_by_key(|(i, _)| *i);
    runs.into_iter().map(|(_, run)| run).collect()
}

fn boot(kernel: Kernel, image: &Path, accelerator: Accelerator, directory: &Path) -> Result<Run> {
    let console = qemu::boot(&kernel, image, accelerator, PATIENCE, |_| ())
        .with_context(|| format!("cannot boot {}", kernel.series))?;
    let log = directory.join(format!("{}.log", kernel.series));
    fs::write(&log, &console.text)?;
    let results = TestResults::read(&console.text);
    let features = features(&console.text);
    let run = Run { kernel, ending: console.ending, results, took: console.took, log, features };
    eprintln!("{}", run.summary());
    Ok(run)
}

/// What stands between these lines is the answer of `tcproute doctor`.
fn features(console: &str) -> BTreeMap<String, Value> {
    let lines = console.lines().skip_while(|&line| line != "vm: doctor").skip(1);
    let answer: String = lines.take_while(|&line| line != "vm: end of doctor").collect();
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    serde_json::from_value(answer["features"].clone()).unwrap_or_default()
}

impl Run {
    pub(crate) fn name(&self) -> &str {
        &self.kernel.series
    }

    pub(crate) fn passed(&self) -> bool {
        self.ending == Ending::Done && self.results.failed() == 0 && self.results.passed() > 0
    }

    /// In a line.
    pub(crate) fn summary(&self) -> String {
        let results = &self.results;
        let skipped = results.skipped().len();
        let counts = format!("{} passed, {} failed, {skipped} skipped", results.passed(), results.failed());
        let took = self.took.as_secs_f64();
        let Kernel { series, version, .. } = &self.kernel;
        match &self.ending {
            Ending::Done => format!("{series} ({version}): {counts} in {took:.0} s"),
            ending => format!("{series} ({version}): {ending} after {took:.0} s; {counts}"),
        }
    }

    /// What a person needs to know of a failure.
    pub(crate) fn complaint(&self) -> String {
        let what = match self.ending {
            Ending::Done => self.results.failures().to_owned(),
            _ => format!("{}: the console ends with\n{}", self.ending, self.results.last_lines()),
        };
        format!("== {} (all of it: {})\n{what}", self.name(), self.log.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_features_are_those_that_doctor_tells() {
        let console = "vm: kernel 5.10\nvm: doctor\n{\n \"features\": {\"refusal\": \"EPERM\"}\n}\nvm: end of doctor\nx\n";
        assert_eq!(features(console), BTreeMap::from([("refusal".to_owned(), "EPERM".into())]));
        assert_eq!(features("vm: doctor\nerror: what?\nvm: end of doctor\n"), BTreeMap::new());
    }
}
