//! The map `outcomes`: reading what the programs have counted, and emptying entries for others.

use anyhow::{Context, Result};
use aya::{
    maps::{HashMap, MapData, MapError, PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use nix::libc::ENOENT;
use tcproute_common::OutcomeCounts;

use super::maps::remove;
use crate::outcomes::Outcomes;

/// CPUs that this kernel may ever have: each has its own copy of the map.
pub fn possible_cpus() -> Result<u32> {
    let cpus = nr_cpus().map_err(|(path, error)| anyhow::Error::new(error).context(path))?;
    Ok(u32::try_from(cpus)?)
}

/// What was counted: by the programs, and before the map was made larger.
pub(super) struct OutcomeMap {
    counts: PerCpuArray<MapData, OutcomeCounts>,
    /// Maps that were too small. Programs that had begun before these were replaced may still count there.
    before: Vec<PerCpuArray<MapData, OutcomeCounts>>,
    /// The map `carried`.
    carried: HashMap<MapData, u32, OutcomeCounts>,
    /// Whether that has any entry.
    carries: bool,
}

impl OutcomeMap {
    pub(super) fn new(
        counts: PerCpuArray<MapData, OutcomeCounts>,
        carried: HashMap<MapData, u32, OutcomeCounts>,
    ) -> Self {
        let carries = carried.keys().next().is_some();
        Self { counts, before: Vec::new(), carried, carries }
    }

    /// What an entry has counted.
    pub(super) fn read(&self, slot: u32) -> Result<Outcomes> {
        let per_cpu = self.counts.get(&slot, 0).context("cannot read the map outcomes")?;
        let mut all = per_cpu.to_vec();
        all.extend(self.read_before(slot)?);
        all.extend(self.carried(slot)?);
        Ok(Outcomes::sum(&all))
    }

    fn carried(&self, slot: u32) -> Result<Option<OutcomeCounts>> {
        if !self.carries {
            return Ok(None);
        }
        match self.carried.get(&slot, 0) {
            Ok(counts) => Ok(Some(counts)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(ENOENT) => Ok(None),
            Err(error) => Err(error).context("cannot read the map carried"),
        }
    }

    fn read_before(&self, slot: u32) -> Result<Vec<OutcomeCounts>> {
        let mut all = Vec::new();
        for before in &self.before {
            // Entries that came later are not there.
            if slot < before.len() {
                all.extend(before.get(&slot, 0).context("cannot read the map outcomes of before")?.iter());
            }
        }
        Ok(all)
    }

    /// Sets an entry to zero, to which no socket and no route leads.
    pub(super) fn clear(&mut self, slot: u32) -> Result<()> {
        let cpus = possible_cpus()? as usize;
        for counts in self.before.iter_mut().chain([&mut self.counts]) {
            if slot < counts.len() {
                let zeros = PerCpuValues::try_from(vec![OutcomeCounts::default(); cpus])?;
                counts.set(slot, zeros, 0).context("cannot write the map outcomes")?;
            }
        }
        if self.carries {
            remove(&mut self.carried, &slot).context("cannot write the map carried")
        } else {
            Ok(())
        }
    }

    /// Goes on from what a map has counted that was too small, whose entries have the same places.
    pub(super) fn follow(&mut self, smaller: Self, slots: impl Iterator<Item = u32>) -> Result<()> {
        for slot in slots {
            if let Some(counts) = smaller.carried(slot)? {
                self.put(slot, &counts)?;
            }
        }
        self.before = smaller.before;
        self.before.push(smaller.counts);
        Ok(())
    }

    /// Whether there are maps in which programs may still count.
    pub(super) const fn has_before(&self) -> bool {
        !self.before.is_empty()
    }

    /// Keeps what smaller maps have counted, and gives them up. To be called when no program counts there any more.
    pub(super) fn carry(&mut self, slots: impl Iterator<Item = u32>) -> Result<()> {
        for slot in slots {
            let mut all = self.read_before(slot)?;
            if all.iter().all(|counts| *counts == OutcomeCounts::default()) {
                continue;
            }
            all.extend(self.carried(slot)?);
            let sum = all.iter().fold(OutcomeCounts::default(), plus);
            self.put(slot, &sum)?;
        }
        self.before.clear();
        Ok(())
    }

    fn put(&mut self, slot: u32, counts: &OutcomeCounts) -> Result<()> {
        self.carries = true;
        self.carried.insert(slot, counts, 0).context("cannot write the map carried")
    }
}

fn plus(mut a: OutcomeCounts, b: &OutcomeCounts) -> OutcomeCounts {
    let OutcomeCounts {
        attempted,
        established,
        refused,
        unreachable,
        timed_out,
        aborted,
        unsent,
        failed,
        closed,
        reset,
        no_endpoint,
        latency_us,
        latency,
    } = &mut a;
    *attempted += b.attempted;
    *established += b.established;
    *refused += b.refused;
    *unreachable += b.unreachable;
    *timed_out += b.timed_out;
    *aborted += b.aborted;
    *unsent += b.unsent;
    *failed += b.failed;
    *closed += b.closed;
    *reset += b.reset;
    *no_endpoint += b.no_endpoint;
    *latency_us += b.latency_us;
    latency.iter_mut().zip(b.latency).for_each(|(bucket, more)| *bucket += more);
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_field_by_field() {
        let one =
            OutcomeCounts { attempted: 3, closed: 1, latency_us: 7, latency: [1; 25], ..Default::default() };
        let sum = plus(one, &OutcomeCounts { attempted: 1, reset: 2, ..one });
        assert_eq!(
            (sum.attempted, sum.closed, sum.reset, sum.latency_us, sum.latency),
            (4, 2, 2, 14, [2; 25])
        );
    }
}
