//! What is given back, or carried over, once no program can be reading or adding to it any more.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result};
use tokio::time::Instant;
use tracing::warn;

use super::InForce;
use crate::plan::Departed;

/// Longer than any program can still be reading a run: they run with preemption by RCU and for microseconds.
const GRACE: Duration = Duration::from_secs(1);

impl InForce<'_> {
    /// Gives back what no program can be reading any more, and keeps what was counted in maps that were too small.
    pub(in crate::agent) fn reclaim(&mut self) {
        let is_over = |since: &Instant| since.elapsed() >= GRACE;
        for (_, retired) in self.retired.extract_if(.., |(since, _)| is_over(since)) {
            self.layout.reuse(&retired);
        }
        let done = self.reuse_drained().and_then(|()| {
            if self.datapath.is_behind() {
                self.datapath.catch_up()?;
                self.grown = Some(Instant::now());
            }
            if self.grown.as_ref().is_some_and(is_over) {
                self.datapath.carry(&self.layout)?;
                self.grown = None;
            }
            Ok(())
        });
        if let Err(error) = done {
            warn!("{error:#}");
        }
        self.reuse_numbers();
    }

    /// Gives the numbers of workloads to others that are gone so long that nothing is counted for them any more.
    fn reuse_numbers(&mut self) {
        if self.freed.is_empty() {
            return;
        }
        let counted = self.layout.departed_workloads();
        let is_free = |(since, id): &mut (Instant, _)| since.elapsed() >= GRACE && !counted.contains(id);
        for (_, id) in self.freed.extract_if(.., is_free) {
            self.ids.give_back(id);
        }
    }

    /// Whether something is to be given back later.
    pub(in crate::agent) fn has_more_to_reclaim(&self) -> bool {
        !self.retired.is_empty()
            || !self.freed.is_empty()
            || !self.layout.departed().is_empty()
            || self.grown.is_some()
            || self.datapath.is_behind()
    }

    /// Gives the counts of backendRefs to others that left so long ago that no program can add to them, and of which
    /// all connections have ended, or their workload has.
    fn reuse_drained(&mut self) -> Result<()> {
        if !self.retired.is_empty() || self.layout.departed().is_empty() {
            return Ok(());
        }
        let workloads = self.numbers();
        let what = "cannot count for other backendRefs what counted for those that have left";
        let departed: Vec<Departed> = self.layout.departed().iter().cloned().collect();
        let mut drained = Vec::new();
        for departed in departed {
            let Some(at) = self.layout.counted_at(&departed.key, &departed.name) else { continue };
            let is_there = workloads.contains(&departed.key.workload);
            if is_there && !self.datapath.outcomes(at).context(what)?.is_drained() {
                continue;
            }
            drained.push((at, departed));
        }
        let workload = |(at, departed): &(u32, Departed)| (*at, departed.key.workload);
        self.datapath.forget_failing(&drained.iter().map(workload).collect()).context(what)?;
        for (at, departed) in drained {
            self.datapath.clear_outcomes(at).context(what)?;
            self.layout.give_back(&departed);
        }
        Ok(())
    }

    /// Gives the places of sockets back that have outlived their workload: no program runs for them any more.
    pub(super) fn forget_sockets_of_others(&mut self) -> Result<()> {
        let workloads = self.numbers();
        let departed = self.layout.departed().iter();
        let of_others = departed.filter(|departed| !workloads.contains(&departed.key.workload));
        let of_others: Vec<u32> =
            of_others.filter_map(|departed| self.layout.counted_at(&departed.key, &departed.name)).collect();
        if of_others.is_empty() {
            return Ok(());
        }
        self.datapath.wait_for_detached();
        let mut open = BTreeSet::new();
        for at in of_others {
            if !self.datapath.outcomes(at)?.is_drained() {
                open.insert(at);
            }
        }
        if open.is_empty() { Ok(()) } else { self.datapath.forget_sockets(&open) }
    }
}
