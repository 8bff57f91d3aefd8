//! What the kernel has counted of programs while a case ran.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use aya::programs::loaded_programs;
use serde::Serialize;
use tcproute_tests::{bpftool::links_at, cgroup::TestCgroup};

use crate::{
    cases::Case,
    client::{self, Dialling},
};

/// The program that does nothing: what it costs is the cost of measuring.
pub(crate) const EMPTY: &str = "lb_empty";

/// The programs that are attached to a cgroup, by name.
pub(crate) struct Programs(BTreeMap<String, Program>);

struct Program {
    size: Size,
    nanoseconds: f64,
    runs: f64,
}

/// Bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Size {
    /// In the kernel's own instructions, after it has looked at them.
    pub(crate) translated: u32,
    /// In the processor's.
    pub(crate) jited: u32,
}

/// Of a program in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Runs for a connection.
    pub(crate) runs: f64,
    /// Nanoseconds for a run, that of measuring included.
    pub(crate) gross: f64,
}

/// Of the rounds of a case, by program. [`EMPTY`] is among them.
#[derive(Debug, Default)]
pub(crate) struct Costs(pub(crate) BTreeMap<String, Vec<Cost>>);

impl Programs {
    /// As they are now.
    pub(crate) fn of(cgroup: &TestCgroup) -> Result<Self> {
        let links = links_at(cgroup.path());
        let ids: Vec<u64> = links.iter().filter_map(|link| link["prog_id"].as_u64()).collect();
        let mut programs = BTreeMap::new();
        for program in loaded_programs() {
            // One that has gone meanwhile is none of these.
            let Ok(program) = program else { continue };
            if !ids.contains(&program.id().into()) {
                continue;
            }
            let name = program.name_as_str().context("a program has no name")?.to_owned();
            let size = Size {
                translated: program.size_translated().unwrap_or_default(),
                jited: program.size_jitted(),
            };
            #[expect(clippy::cast_precision_loss, reason = "no bench runs for so long")]
            let (nanoseconds, runs) = (program.run_time().as_nanos() as f64, program.run_count() as f64);
            programs.insert(name, Program { size, nanoseconds, runs });
        }
        Ok(Self(programs))
    }

    pub(crate) fn sizes(&self) -> BTreeMap<String, Size> {
        self.0.iter().map(|(name, program)| (name.clone(), program.size)).collect()
    }
}

impl Costs {
    /// Runs the case once more.
    pub(crate) fn add(&mut self, case: &Case<'_>, dialling: Dialling) -> Result<()> {
        let before = Programs::of(case.cgroup)?;
        client::run(case, dialling)?;
        let connections = f64::from(dialling.connections) * f64::from(dialling.threads);
        for (name, after) in Programs::of(case.cgroup)?.0 {
            let before = before.0.get(&name).with_context(|| format!("{name} is new"))?;
            let runs = after.runs - before.runs;
            if runs > 0.0 {
                let cost =
                    Cost { runs: runs / connections, gross: (after.nanoseconds - before.nanoseconds) / runs };
                self.0.entry(name).or_default().push(cost);
            }
        }
        Ok(())
    }

    /// What measuring costs.
    pub(crate) fn empty(&self) -> &[Cost] {
        self.0.get(EMPTY).map_or(&[], Vec::as_slice)
    }
}
