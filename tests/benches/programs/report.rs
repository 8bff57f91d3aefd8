//! What was measured, as tables and as JSON.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context as _, Result};
use nix::sys::utsname::uname;
use serde::Serialize;

use crate::{
    Options,
    cost::{Cost, Costs, EMPTY, Size},
};

/// All figures.
#[derive(Serialize)]
pub(crate) struct Report {
    kernel: String,
    rounds: u32,
    connections: u32,
    threads: u32,
    /// Nanoseconds that a run takes to be measured.
    measuring: Spread,
    /// By case and program.
    cases: BTreeMap<String, BTreeMap<String, Figures>>,
    sizes: BTreeMap<String, Size>,
    /// In the order in which the cases were measured.
    #[serde(skip)]
    order: Vec<&'static str>,
}

/// Of one program in one case.
#[derive(Clone, Copy, Serialize)]
struct Figures {
    /// Runs for a connection.
    runs: f64,
    /// Nanoseconds for a run, less those of measuring.
    net: Spread,
}

/// Of the rounds.
#[derive(Clone, Copy, Serialize)]
struct Spread {
    least: f64,
    median: f64,
    greatest: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        Some(Self { least, median: values[values.len() / 2], greatest })
    }

    fn less(self, other: f64) -> Self {
        let Self { least, median, greatest } = self;
        Self { least: least - other, median: median - other, greatest: greatest - other }
    }
}

impl Report {
    /// Of what was measured. The programs of IPv6 have no empty one beside them, so what measuring costs is that of all
    /// cases.
    pub(crate) fn of(
        costs: &[(&'static str, Costs)],
        options: &Options,
        sizes: BTreeMap<String, Size>,
    ) -> Result<Self> {
        let all = costs.iter().flat_map(|(_, costs)| costs.empty());
        let measuring = Spread::of(all.map(|cost| cost.gross)).context("the empty program has not run")?;
        let figures = |costs: &[Cost]| {
            let gross = Spread::of(costs.iter().map(|cost| cost.gross))?;
            let runs = Spread::of(costs.iter().map(|cost| cost.runs))?.median;
            Some(Figures { runs, net: gross.less(measuring.median) })
        };
        let case = |(name, costs): &(&'static str, Costs)| {
            let programs = costs.0.iter().filter(|(program, _)| *program != EMPTY);
            let programs = programs.filter_map(|(program, costs)| Some((program.clone(), figures(costs)?)));
            ((*name).to_owned(), programs.collect())
        };
        Ok(Self {
            kernel: uname()?.release().to_string_lossy().into_owned(),
            rounds: options.rounds,
            connections: options.connections,
            threads: options.threads,
            measuring,
            cases: costs.iter().map(case).collect(),
            sizes,
            order: costs.iter().map(|(name, _)| *name).collect(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, rounds, connections, threads, measuring, .. } = self;
        writeln!(
            f,
            "Linux {kernel}, {rounds} rounds of {connections} connections in each of {threads} threads"
        )?;
        writeln!(
            f,
            "measuring takes {:.0} ns a run [{:.0}..{:.0}]\n",
            measuring.median, measuring.least, measuring.greatest
        )?;
        writeln!(f, "| Connections | Program | runs | net ns a run | |\n|---|---|---:|---:|---|")?;
        for name in &self.order {
            let mut name = *name;
            for (program, Figures { runs, net }) in &self.cases[name] {
                let Spread { least, median, greatest } = net;
                writeln!(
                    f,
                    "| {name} | {program} | {runs:.1} | {median:.0} | [{least:.0}..{greatest:.0}] |"
                )?;
                name = "";
            }
        }
        writeln!(f, "\n| Program | bytes translated | jited |\n|---|---:|---:|")?;
        for (program, Size { translated, jited }) in &self.sizes {
            writeln!(f, "| {program} | {translated} | {jited} |")?;
        }
        Ok(())
    }
}
