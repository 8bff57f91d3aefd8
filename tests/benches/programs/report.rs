//! What was measured, as tables and as JSON.

use std::{collections::BTreeMap, fmt};

use anyhow::{Result, ensure};
use nix::sys::utsname::uname;
use serde::Serialize;
use tcproute_tests::bench::{
    accounting::{Cost, EMPTY, Size},
    statistics::{Spread, median},
};

use crate::{Options, cost::Costs};

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

impl Report {
    /// Of what was measured. The programs of IPv6 have no empty one beside them, so what measuring costs is that of all
    /// cases.
    pub(crate) fn of(
        costs: &[(&'static str, Costs)],
        options: &Options,
        sizes: BTreeMap<String, Size>,
    ) -> Result<Self> {
        let all: Vec<f64> =
            costs.iter().flat_map(|(_, costs)| costs.empty()).map(|cost| cost.gross).collect();
        ensure!(!all.is_empty(), "the empty program has not run");
        let measuring = Spread::of(&all);
        let figures = |costs: &[Cost]| {
            let of = |figure: fn(&Cost) -> f64| costs.iter().map(figure).collect::<Vec<_>>();
            let net: Vec<f64> = of(|cost| cost.gross).iter().map(|gross| gross - measuring.median).collect();
            Figures { runs: median(&of(|cost| cost.runs)), net: Spread::of(&net) }
        };
        let case = |(name, costs): &(&'static str, Costs)| {
            let programs = costs.0.iter().filter(|(program, _)| *program != EMPTY);
            let programs = programs.map(|(program, costs)| (program.clone(), figures(costs)));
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
