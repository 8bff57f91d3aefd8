//! What the kernel has counted of the programs at a cgroup (`kernel.bpf_stats_enabled`).

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use aya::programs::loaded_programs;
use serde::Serialize;

use crate::{bpftool::links_at, cgroup::TestCgroup};

/// The program that does nothing: what it costs is the cost of measuring.
pub const EMPTY: &str = "lb_empty";

/// The programs that are attached to a cgroup, by name.
pub struct Programs(BTreeMap<String, Program>);

struct Program {
    size: Size,
    nanoseconds: f64,
    runs: f64,
}

/// Bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Size {
    /// In the kernel's own instructions, after it has looked at them.
    pub translated: u32,
    /// In the processor's.
    pub jited: u32,
}

/// Of a program that has run.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// How often.
    pub runs: f64,
    /// Nanoseconds for a run, that of measuring included.
    pub gross: f64,
}

impl Programs {
    /// As they are now.
    pub fn of(cgroup: &TestCgroup) -> Result<Self> {
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

    /// Of those that have run since then.
    pub fn since(&self, before: &Self) -> Result<BTreeMap<String, Cost>> {
        let mut costs = BTreeMap::new();
        for (name, after) in &self.0 {
            let before = before.0.get(name).with_context(|| format!("{name} is new"))?;
            let runs = after.runs - before.runs;
            if runs > 0.0 {
                let gross = (after.nanoseconds - before.nanoseconds) / runs;
                costs.insert(name.clone(), Cost { runs, gross });
            }
        }
        Ok(costs)
    }

    /// Of each.
    pub fn sizes(&self) -> BTreeMap<String, Size> {
        self.0.iter().map(|(name, program)| (name.clone(), program.size)).collect()
    }
}
