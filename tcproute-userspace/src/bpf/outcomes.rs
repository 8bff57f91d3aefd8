//! The map `outcomes`: reading what the programs have counted, and emptying entries for others.

use anyhow::{Context, Result};
use aya::{
    maps::{MapData, PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use tcproute_common::OutcomeCounts;

use crate::outcomes::Outcomes;

/// What the map may take in all. On a node with 128 CPUs that is enough for 7084 backendRefs.
const MEMORY: usize = 256 << 20;

/// Entries that the map has at least.
const LEAST: u32 = 512;

/// Entries for that many backendRefs, with room to grow: as many as the memory allows.
pub(super) fn entries(needed: usize, cpus: usize) -> u32 {
    let most = u32::try_from(MEMORY / (size_of::<OutcomeCounts>() * cpus.max(1))).unwrap_or(u32::MAX);
    let wanted = u32::try_from((needed + 1).saturating_mul(2)).unwrap_or(u32::MAX);
    wanted.checked_next_power_of_two().unwrap_or(u32::MAX).clamp(LEAST, most.max(LEAST))
}

/// CPUs that this kernel may ever have: each has its own copy of the map.
pub(super) fn possible_cpus() -> Result<usize> {
    nr_cpus().map_err(|(path, error)| anyhow::Error::new(error).context(path))
}

/// The map.
pub(super) struct OutcomeMap(pub(super) PerCpuArray<MapData, OutcomeCounts>);

impl OutcomeMap {
    /// What an entry has counted.
    pub(super) fn read(&self, slot: u32) -> Result<Outcomes> {
        let per_cpu = self.0.get(&slot, 0).context("cannot read the map outcomes")?;
        Ok(Outcomes::sum(&per_cpu))
    }

    /// Sets an entry to zero, to which no socket and no route leads.
    pub(super) fn clear(&mut self, slot: u32) -> Result<()> {
        let zeros = PerCpuValues::try_from(vec![OutcomeCounts::default(); possible_cpus()?])?;
        self.0.set(slot, zeros, 0).context("cannot write the map outcomes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_has_room_to_grow_within_its_memory() {
        assert_eq!(entries(2, 2), 512);
        assert_eq!(entries(300, 2), 1024);
        assert_eq!(entries(2_000_000, 2), 453_438);
        assert_eq!(entries(2_000_000, 128), 7084);
    }
}
