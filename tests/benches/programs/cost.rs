//! What the kernel has counted of programs while a case ran.

use std::collections::BTreeMap;

use anyhow::Result;
use tcproute_tests::bench::accounting::{Cost, EMPTY, Programs};

use crate::{
    cases::Case,
    client::{self, Dialling},
};

/// Of the rounds of a case, by program: runs are those for a connection. [`EMPTY`] is among them.
#[derive(Debug, Default)]
pub(crate) struct Costs(pub(crate) BTreeMap<String, Vec<Cost>>);

impl Costs {
    /// Runs the case once more.
    pub(crate) fn add(&mut self, case: &Case<'_>, dialling: Dialling) -> Result<()> {
        let before = Programs::of(case.cgroup)?;
        client::run(case, dialling)?;
        let connections = f64::from(dialling.connections) * f64::from(dialling.threads);
        for (name, Cost { runs, gross }) in Programs::of(case.cgroup)?.since(&before)? {
            self.0.entry(name).or_default().push(Cost { runs: runs / connections, gross });
        }
        Ok(())
    }

    /// What measuring costs.
    pub(crate) fn empty(&self) -> &[Cost] {
        self.0.get(EMPTY).map_or(&[], Vec::as_slice)
    }
}
