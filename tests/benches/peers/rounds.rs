//! The rounds. In each, every contender has its turn with one kind of work before the next kind comes.

use anyhow::Result;
use tcproute_tests::{
    bench::{
        comparison::{Comparison, Found},
        load::{Bulk, Connections, Requests, Work, order},
        memory,
    },
    interrupt,
};

use crate::{
    contenders::Contender,
    proof,
    report::{CONNECTIONS, KERNEL_MEMORY, OfConnections, PROCESS_MEMORY, bulk, requests},
};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    rounds: u32,
    work: [Work; 4],
}

impl Extent {
    /// Requests take a tenth of the time of connections.
    pub(crate) const fn of(rounds: u32, connections: u32) -> Self {
        let work = [
            Work::Connections { threads: 1, count: connections },
            Work::Connections { threads: 4, count: connections * 2 },
            Work::Requests { count: connections * 5 },
            Work::Bulk { megabytes: connections / 2 },
        ];
        Self { rounds, work }
    }
}

/// Measures all who are there.
pub(crate) fn measure(present: &[Contender], extent: Extent, comparison: &mut Comparison) -> Result<()> {
    for round in 0..extent.rounds as usize {
        eprintln!("round {} of {}", round + 1, extent.rounds);
        for work in extent.work {
            for turn in 0..present.len() {
                // Nobody always runs after the same neighbour's heat.
                let contender = &present[(turn + round) % present.len()];
                interrupt::go_on()?;
                measured(contender, comparison, |found| {
                    contender.forget()?;
                    do_work(contender, work, found)
                })?;
            }
        }
        for contender in present {
            measured(contender, comparison, |found| remember(contender, found))?;
        }
    }
    Ok(())
}

/// One who fails is absent from then on, but for those without whom there is nothing to compare.
fn measured(
    contender: &Contender,
    comparison: &mut Comparison,
    measure: impl FnOnce(&mut Found) -> Result<()>,
) -> Result<()> {
    let kind = contender.kind;
    let Some(of_it) = comparison.0.iter_mut().find(|it| it.name == kind.name) else { return Ok(()) };
    let Ok(found) = &mut of_it.found else { return Ok(()) };
    match measure(found) {
        Err(error) if kind.is_own() => Err(error.context(kind.title)),
        Err(error) => {
            eprintln!("{}: absent: {error:#}", kind.title);
            of_it.found = Err(format!("{error:#}"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn do_work(contender: &Contender, work: Work, found: &mut Found) -> Result<()> {
    let (site, dials) = (&contender.site, contender.dials());
    match work {
        Work::Knock => {}
        Work::Connections { threads, .. } => {
            let made: Connections = order(site, dials, work)?;
            let figures = &CONNECTIONS[usize::from(threads > 1)];
            OfConnections::add(figures, &made, found);
            if contender.kind.splits {
                count(found, made.by_backend);
            }
        }
        Work::Requests { .. } => requests(&order::<Requests>(site, dials, work)?, found),
        Work::Bulk { .. } => bulk(&order::<Bulk>(site, dials, work)?, found),
    }
    Ok(())
}

fn count(found: &mut Found, by_backend: [u64; 2]) {
    if found.split.is_empty() {
        found.split = proof::split([0; 2]);
    }
    for ((count, _), more) in found.split.iter_mut().zip(by_backend) {
        *count += more;
    }
}

/// The memory that it has after the work.
fn remember(contender: &Contender, found: &mut Found) -> Result<()> {
    const MIB: f64 = 1_048_576.0;
    #[expect(clippy::cast_precision_loss, reason = "bytes, far below 2^53")]
    let mib = |bytes: u64| bytes as f64 / MIB;
    if let Some(pid) = contender.installed.process {
        found.add(PROCESS_MEMORY, mib(memory::of_process(pid)?));
    }
    if let Some(pid) = contender.installed.holds_bpf {
        found.add(KERNEL_MEMORY, mib(memory::of_bpf(pid)?));
    }
    Ok(())
}
