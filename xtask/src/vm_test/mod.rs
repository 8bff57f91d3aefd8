//! `cargo xtask vm-test`: the kernel tests of this machine, on other kernels, in virtual machines.

mod debian;
mod guest;
mod initramfs;
mod kernel;
mod outcome;
mod qemu;

use std::{
    fs,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build_ebpf::{self},
    provision,
    release::build_release,
    workspace,
};
use initramfs::Initramfs;
use kernel::{Kernel, Source};
use outcome::Outcomes;
use qemu::{Accelerator, Ending};

/// What obtaining, packing and booting kernels calls, beside what the tests call.
const PACKAGES: [&str; 5] = ["busybox-static", "cpio", "qemu-system-x86", "util-linux", "xz-utils"];

/// Longer than any guest needs: one that takes so long hangs.
const PATIENCE: Duration = Duration::from_mins(9);

/// `cargo xtask vm-test`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// 5.10, 6.1, 6.12, latest or the path of a kernel image; all of Debian's if none is given
    #[arg(long = "kernel", value_name = "KERNEL", num_args = 1..)]
    kernels: Vec<Source>,
    /// Only the tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// What one kernel came to.
struct Run {
    name: String,
    ending: Ending,
    outcomes: Outcomes,
    took: Duration,
    log: PathBuf,
}

/// Obtains the kernels, builds what the guests run, boots them and prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        bail!("the kernels of the matrix are those for x86-64");
    }
    provision::ensure(&[&provision::KERNEL_TESTS[..], &PACKAGES].concat())?;
    build_ebpf::run(&build_ebpf::Options::default())?;
    let binary = build_release()?;
    let tests = guest::test_binaries()?;

    let sources = if options.kernels.is_empty() { Source::MATRIX.to_vec() } else { options.kernels.clone() };
    let directory = workspace::target().join("vm");
    fs::create_dir_all(&directory)?;
    let kernels = sources.iter().map(|source| source.obtain(&directory)).collect::<Result<Vec<Kernel>>>()?;
    let content = guest::content(&binary, &tests)?;
    let images = kernels.iter().map(|kernel| {
        let image = directory.join(format!("{}.initramfs", kernel.name));
        Initramfs::pack(&content, kernel, options.filter.as_deref(), &image)?;
        Ok((kernel, image))
    });
    let images = images.collect::<Result<Vec<(&Kernel, PathBuf)>>>()?;

    let accelerator = Accelerator::probe(images.first().map(|(kernel, image)| (*kernel, image.as_path())));
    eprintln!("booting {} kernels by {accelerator}", images.len());
    let runs = boot_all(&images, accelerator, &directory)?;
    print!("{}", table(&runs));
    let failed: Vec<&str> = runs.iter().filter(|run| !run.passed()).map(|run| run.name.as_str()).collect();
    for run in runs.iter().filter(|run| !run.passed()) {
        eprintln!("\n== {} ({})\n{}", run.name, run.log.display(), run.complaint());
    }
    if failed.is_empty() { Ok(()) } else { bail!("failed on {}", failed.join(", ")) }
}

/// As many at a time as there are processors, since an emulated machine keeps one busy.
fn boot_all(
    images: &[(&Kernel, PathBuf)],
    accelerator: Accelerator,
    directory: &std::path::Path,
) -> Result<Vec<Run>> {
    let queue = Mutex::new(images.iter().enumerate());
    let (sender, receiver) = mpsc::channel();
    let parallel = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        for _ in 0..parallel {
            let (queue, sender) = (&queue, sender.clone());
            scope.spawn(move || {
                loop {
                    let next = queue.lock().map(|mut queue| queue.next());
                    let Ok(Some((i, (kernel, image)))) = next else { return };
                    let log = directory.join(format!("{}.log", kernel.name));
                    let run = boot(kernel, image, accelerator, log);
                    if sender.send((i, run)).is_err() {
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

fn boot(kernel: &Kernel, image: &std::path::Path, accelerator: Accelerator, log: PathBuf) -> Result<Run> {
    let console = qemu::boot(kernel, image, accelerator, PATIENCE)
        .with_context(|| format!("cannot boot {}", kernel.name))?;
    fs::write(&log, &console.text)?;
    let outcomes = Outcomes::read(&console.text);
    let run = Run { name: kernel.name.clone(), ending: console.ending, outcomes, took: console.took, log };
    eprintln!("{}: {}", run.name, run.summary());
    Ok(run)
}

impl Run {
    fn passed(&self) -> bool {
        self.ending == Ending::Done && self.outcomes.failed() == 0 && self.outcomes.passed() > 0
    }

    fn summary(&self) -> String {
        let outcomes = &self.outcomes;
        let counts = format!(
            "{} passed, {} failed, {} skipped",
            outcomes.passed(),
            outcomes.failed(),
            outcomes.skipped().len()
        );
        match &self.ending {
            Ending::Done => format!("{counts} in {:.0} s", self.took.as_secs_f64()),
            ending => format!("{ending} after {:.0} s; {counts}", self.took.as_secs_f64()),
        }
    }

    /// What a person needs to know of a failure.
    fn complaint(&self) -> String {
        match self.ending {
            Ending::Done => self.outcomes.failures().to_owned(),
            _ => format!("{}: the console ends with\n{}", self.ending, self.outcomes.last_lines()),
        }
    }
}

/// One line for each test with one column for each kernel, and the reasons of what was skipped.
fn table(runs: &[Run]) -> String {
    let names = outcome::names(runs.iter().map(|run| &run.outcomes));
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = format!("\n{:width$}", "");
    for run in runs {
        text.extend(["  ", &run.name]);
    }
    text.push('\n');
    for name in &names {
        text.extend([format!("{name:width$}")]);
        for run in runs {
            let column = run.name.len();
            text.extend([format!("  {:column$}", run.outcomes.word(name))]);
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    for run in runs {
        text.extend(run.outcomes.skipped().iter().map(|reason| format!("{}: skipped {reason}\n", run.name)));
        text.extend([format!("{}: {}\n", run.name, run.summary())]);
    }
    text
}
