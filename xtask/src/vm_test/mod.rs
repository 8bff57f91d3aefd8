//! `cargo xtask vm-test`: the kernel tests of this machine, on other kernels, in virtual machines.

mod guest;
mod initramfs;
mod page;
mod qemu;
mod record;
mod run;

use std::{fs, iter, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};

use crate::{
    machine::{Kernel, Source, Unreachable},
    matrix::{self, Column},
    provision,
    release::build_release,
    test_targets, verified, workspace,
};
use initramfs::{Initramfs, Which, Work};
use qemu::{Accelerator, Ending};
use record::{KernelRecord, Record};
use run::Run;

/// What obtaining, packing and booting kernels calls, beside what the tests call.
const PACKAGES: [&str; 6] = ["busybox-static", "cpio", "kmod", "qemu-system-x86", "util-linux", "xz-utils"];

/// `cargo xtask vm-test`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// 5.10, 6.1, 6.12, latest or the path of a kernel image; all of Debian's if none is given
    #[arg(long = "kernel", value_name = "KERNEL", num_args = 1..)]
    kernels: Vec<Source>,
    /// Only the tests whose name contains this
    #[arg(long, value_name = "TEXT", conflicts_with = "record")]
    filter: Option<String>,
    /// Write what was seen to docs/kernels.json and docs/kernels.md
    #[arg(long)]
    record: bool,
}

/// What all kernels came to.
pub(crate) struct Matrix {
    pub(crate) runs: Vec<Run>,
    /// Kernels that could not be fetched, with the reason.
    pub(crate) unreachable: Vec<String>,
    /// What the verifiers have more to do with than is recorded.
    pub(crate) rises: Vec<String>,
}

/// Runs the tests and prints what became of each on each kernel.
pub(crate) fn run(options: &Options) -> Result<()> {
    let sources = if options.kernels.is_empty() { Source::MATRIX.to_vec() } else { options.kernels.clone() };
    let which = Which { filter: options.filter.as_deref(), left_out: &[] };
    let matrix = test(sources.iter().map(|source| (source, which)))?;
    print!("{}", matrix.report(matrix::by_test));
    eprint!("{}", matrix.complaints());
    matrix.check()?;
    if let Some(unreachable) = matrix.unreachable.first() {
        bail!("{unreachable}");
    }
    if options.record { matrix.record() } else { Ok(()) }
}

/// Runs the tests on all of Debian's kernels. Those in which kernels differ little are run on the oldest one alone.
pub(crate) fn whole_matrix() -> Result<Matrix> {
    let few = Which { filter: None, left_out: &test_targets::ALIKE };
    let which = iter::once(Which::default()).chain(iter::repeat(few));
    test(Source::MATRIX.iter().zip(which))
}

/// A program that a guest runs in the place of the tests.
pub(crate) struct Alone<'a> {
    pub(crate) name: &'a str,
    /// Where it is.
    pub(crate) program: PathBuf,
    pub(crate) arguments: &'a [String],
    /// How long the guest may take.
    pub(crate) patience: Duration,
    pub(crate) clock: Clock,
}

/// Runs a program on one kernel, and tells on which. What it says is heard as it says it.
pub(crate) fn run_alone(source: &Source, alone: &Alone<'_>, hear: impl FnMut(&str)) -> Result<Kernel> {
    provide()?;
    let binary = build_release()?;
    let directory = workspace::target().join("vm");
    fs::create_dir_all(&directory)?;
    let Alone { name, ref program, arguments, patience, clock } = *alone;
    let content = guest::content(&binary, &[(program.clone(), format!("/bin/{name}"))])?;
    let kernel = source.obtain(&directory)?;
    let image = directory.join(format!("{}.{name}.initramfs", kernel.series));
    Initramfs::pack(&content, &kernel, Work::Alone(name, arguments), &image)?;
    let log = directory.join(format!("{}.{name}.log", kernel.series));
    let guest = (kernel, image);
    let accelerator = match clock {
        Clock::OfHost => Accelerator::probe(Some(&guest)),
        Clock::OfInstructions => Accelerator::Counting,
    };
    let (kernel, image) = guest;
    eprintln!("booting {} by {accelerator}", kernel.series);
    let console = qemu::boot(&kernel, &image, accelerator, patience, hear)?;
    fs::write(&log, &console.text)?;
    if console.ending != Ending::Done {
        bail!("{}; all of the console is in {}", console.ending, log.display());
    }
    if !console.text.lines().any(|line| line == "vm: passed") {
        bail!("{name} failed on {}; all of the console is in {}", kernel.series, log.display());
    }
    Ok(kernel)
}

/// What a guest takes for time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// What it is here.
    OfHost,
    /// An instruction for a nanosecond.
    OfInstructions,
}

/// What there must be to boot guests.
fn provide() -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        bail!("the kernels of the matrix are those for x86-64");
    }
    provision::ensure(&[&provision::KERNEL_TESTS[..], &PACKAGES].concat())
}

fn test<'a>(sources: impl Iterator<Item = (&'a Source, Which<'a>)>) -> Result<Matrix> {
    provide()?;
    let binary = build_release()?;
    let tests = guest::test_binaries()?;

    let directory = workspace::target().join("vm");
    fs::create_dir_all(&directory)?;
    let content = guest::content(&binary, &guest::places_of_tests(tests)?)?;
    let mut unreachable = Vec::new();
    let mut guests: Vec<(Kernel, PathBuf)> = Vec::new();
    for (source, which) in sources {
        let kernel = match source.obtain(&directory) {
            Err(error) if error.is::<Unreachable>() => {
                unreachable.push(format!("{error:#}"));
                continue;
            }
            kernel => kernel?,
        };
        let image = directory.join(format!("{}.initramfs", kernel.series));
        Initramfs::pack(&content, &kernel, Work::Tests(which), &image)?;
        guests.push((kernel, image));
    }
    let accelerator = Accelerator::probe(guests.first());
    eprintln!("booting {} kernels by {accelerator}", guests.len());
    let runs = run::boot_all(guests, accelerator, &directory)?;
    let recorded = Record::load()?;
    let rises = runs.iter().flat_map(|run| {
        let recorded = recorded.kernels.get(run.name());
        let rises = recorded.map(|kernel| verified::rises(&kernel.programs, run.results.programs()));
        rises.into_iter().flatten().map(|rise| format!("{}: {rise}", run.name()))
    });
    Ok(Matrix { rises: rises.collect(), runs, unreachable })
}

impl Matrix {
    pub(crate) fn columns(&self) -> Vec<Column<'_>> {
        self.runs.iter().map(|run| Column { name: run.name(), results: &run.results }).collect()
    }

    /// A table with what else is to be said.
    fn report(&self, table: impl Fn(&[Column<'_>]) -> String) -> String {
        let columns = self.columns();
        let mut lines = vec![String::new(), table(&columns)];
        lines.extend(matrix::skipped(&columns));
        lines.extend(self.remarks());
        lines.join("\n") + "\n"
    }

    /// What is to be said beside the table.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let summaries = self.runs.iter().map(Run::summary);
        let unreachable = self.unreachable.iter().map(|reason| format!("SKIPPED {reason}"));
        summaries.chain(unreachable).chain(self.rises.iter().cloned()).collect()
    }

    /// What is wrong on the kernels where something is.
    pub(crate) fn complaints(&self) -> String {
        let failed = self.runs.iter().filter(|run| !run.passed());
        failed.map(|run| format!("\n{}\n", run.complaint())).collect::<Vec<_>>().concat()
    }

    pub(crate) fn check(&self) -> Result<()> {
        let failed: Vec<&str> = self.runs.iter().filter(|run| !run.passed()).map(Run::name).collect();
        if failed.is_empty() { Ok(()) } else { bail!("failed on {}", failed.join(", ")) }
    }

    /// Kernels that were not run keep what is recorded of them.
    fn record(&self) -> Result<()> {
        let mut record = Record::load()?;
        for run in &self.runs {
            let kernel = KernelRecord {
                version: run.kernel.version.clone(),
                passed: run.results.passed(),
                skipped: run.results.skipped().to_vec(),
                features: run.features.clone(),
                programs: run.results.programs().clone(),
            };
            record.kernels.insert(run.name().to_owned(), kernel);
        }
        page::save(&record).context("cannot record what was seen")
    }
}
