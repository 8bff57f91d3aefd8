//! All contenders with the same number of services.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tcproute_tests::{
    bench::{
        comparison::{self, Comparison, Found},
        cpu, memory,
    },
    interrupt,
};

use crate::{
    Options, agent,
    contenders::{ALL, DIRECT, Kind},
    dialling::Which,
    load::Contender,
    maps::Maps,
    mesh::Services,
    report::{CONNECT, CONNECT_ANY, FIRST_BYTE, FIRST_BYTE_ANY, RESIDENT, REST},
};

/// What was measured.
pub(crate) struct Point {
    pub(crate) services: Services,
    pub(crate) comparison: Comparison,
    /// Who is there and has not done all, and why.
    pub(crate) failed: Vec<(&'static str, String)>,
    /// Of tcproute, if it was measured.
    pub(crate) maps: Option<Maps>,
}

/// For so long nothing is asked of anybody.
const REST_FOR: Duration = Duration::from_secs(10);

/// Measures all who are wanted. tcproute is left at work.
pub(crate) fn measure(services: Services, options: &Options) -> Result<(Point, Option<Contender>)> {
    let mut point = Point { services, comparison: Comparison::default(), failed: Vec::new(), maps: None };
    let mut present = Vec::new();
    for kind in chosen(&options.only) {
        point.comparison.0.push(comparison::Contender {
            name: kind.name,
            title: kind.title,
            base: DIRECT,
            found: Ok(Found::default()),
        });
        if kind.is_in_memory() {
            continue;
        }
        interrupt::go_on()?;
        eprintln!("  {}: to be loaded", kind.title);
        point.tried(kind, |found| {
            if let Some(why) = options.is_absent(kind.name) {
                anyhow::bail!("{why}");
            }
            let (contender, loaded) = Contender::load(kind, services, options.patience())?;
            *found = loaded;
            present.push(contender);
            Ok(())
        })?;
    }
    eprintln!("  at rest");
    point.rest(&present)?;
    for round in 0..options.rounds as usize {
        eprintln!("  round {} of {}", round + 1, options.rounds);
        for turn in 0..present.len() {
            interrupt::go_on()?;
            // Nobody always runs after the same neighbour's heat.
            let contender = &present[(turn + round) % present.len()];
            point.tried(contender.kind, |found| connect(contender, options.connections, round, found))?;
        }
    }
    for contender in &present {
        interrupt::go_on()?;
        eprintln!("  {}: changes", contender.kind.title);
        let mut failed = None;
        point.tried(contender.kind, |found| {
            let changed = contender.change(options.tries, options.patience(), found);
            // What was measured before holds all the same.
            if contender.kind.is_own() {
                return changed;
            }
            failed = changed.err();
            Ok(())
        })?;
        interrupt::go_on()?;
        point.failed.extend(failed.map(|error| (contender.kind.title, format!("{error:#}"))));
    }
    let own = present.iter().position(|contender| contender.daemon.is_some());
    let own = own.map(|at| present.swap_remove(at));
    drop(present);
    if let Some(kind) = chosen(&options.only).find(|kind| kind.is_in_memory()) {
        eprintln!("  {}", kind.title);
        point.tried(kind, |found| {
            *found = agent::measure(services, options)?;
            Ok(())
        })?;
    }
    Ok((point, own))
}

/// In their order, and who they are compared with.
fn chosen(only: &[String]) -> impl Iterator<Item = &'static Kind> {
    ALL.iter().filter(move |kind| {
        only.is_empty() || kind.name == DIRECT || only.iter().any(|name| name == kind.name)
    })
}

fn connect(contender: &Contender, count: u32, round: usize, found: &mut Found) -> Result<()> {
    contender.forget()?;
    let last = contender.dial_services(Which::Last, count, 0)?;
    let any = contender.dial_services(Which::Any, count, round as u64)?;
    let figures = [
        (CONNECT, last.connect),
        (FIRST_BYTE, last.first_byte),
        (CONNECT_ANY, any.connect),
        (FIRST_BYTE_ANY, any.first_byte),
    ];
    for (figures, latency) in figures {
        for (figure, value) in figures.into_iter().zip([latency.p50, latency.p99]) {
            found.add(figure, value);
        }
    }
    Ok(())
}

impl Point {
    /// One who fails is absent from then on, but for those without whom there is nothing to compare.
    fn tried(&mut self, kind: &Kind, measure: impl FnOnce(&mut Found) -> Result<()>) -> Result<()> {
        let Some(of_it) = self.comparison.0.iter_mut().find(|it| it.name == kind.name) else { return Ok(()) };
        let Ok(found) = &mut of_it.found else { return Ok(()) };
        match measure(found) {
            Err(error) if kind.is_own() => Err(error.context(kind.title)),
            Err(error) => {
                eprintln!("  {}: absent: {error:#}", kind.title);
                of_it.found = Err(format!("{error:#}"));
                interrupt::go_on()
            }
            Ok(()) => Ok(()),
        }
    }

    /// Memory, and what processes do while nobody asks anything of them, of all at once.
    fn rest(&mut self, present: &[Contender]) -> Result<()> {
        const MIB: f64 = 1_048_576.0;
        let worked = |contender: &Contender| cpu::of(contender.site.proxy.path());
        let before = present.iter().map(worked).collect::<Result<Vec<_>>>()?;
        let begun = Instant::now();
        thread::sleep(REST_FOR);
        let seconds = begun.elapsed().as_secs_f64();
        let after = present.iter().map(worked).collect::<Result<Vec<_>>>()?;
        for (contender, (before, after)) in present.iter().zip(before.into_iter().zip(after)) {
            let Some(process) = &contender.process else { continue };
            let resident = memory::of_processes(contender.site.proxy.path())?;
            if contender.daemon.is_some() {
                self.maps = Some(memory::of_maps(process.0.id()).context("the maps of tcproute")?);
            }
            self.tried(contender.kind, |found| {
                #[expect(clippy::cast_precision_loss, reason = "bytes, far below 2^53")]
                found.add(RESIDENT, resident as f64 / MIB);
                found.add(REST, after.saturating_sub(before).as_secs_f64() / seconds * 100.0);
                Ok(())
            })?;
        }
        Ok(())
    }
}
