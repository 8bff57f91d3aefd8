//! The map `outcomes`: reading what the programs have counted, and emptying entries for others.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aya::{
    maps::{HashMap, IterableMap, Map, MapData, MapError, PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use nix::libc::ENOENT;
use tcproute_common::{CarriedCounts, OutcomeCounts};

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
    /// Maps that were too small, the oldest first. Programs that had begun before these were replaced may still count
    /// there.
    before: Vec<Before>,
    /// The map `carried`.
    carried: HashMap<MapData, u32, CarriedCounts>,
    /// Whether that has any entry.
    carries: bool,
}

/// A map that was too small.
pub(super) struct Before {
    /// The kernel's number of it.
    id: u32,
    counts: PerCpuArray<MapData, OutcomeCounts>,
}

impl Before {
    /// What is pinned there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let at = || format!("cannot open the map {}", path.display());
        let map = MapData::from_pin(path).with_context(at)?;
        let id = map.info().with_context(at)?.id();
        let counts = Map::PerCpuArray(map).try_into().with_context(at)?;
        Ok(Self { id, counts })
    }

    /// With its number.
    fn numbered(&self) -> (u32, &MapData) {
        (self.id, IterableMap::map(&self.counts))
    }

    /// Entries that came later are not there.
    fn read(&self, at: u32) -> Result<Option<PerCpuValues<OutcomeCounts>>> {
        let read = (at < self.counts.len()).then(|| self.counts.get(&at, 0)).transpose();
        read.context("cannot read the map outcomes of before")
    }
}

impl OutcomeMap {
    pub(super) fn new(
        counts: PerCpuArray<MapData, OutcomeCounts>,
        carried: HashMap<MapData, u32, CarriedCounts>,
        mut before: Vec<Before>,
    ) -> Self {
        let carries = carried.keys().next().is_some();
        before.sort_by_key(|before| before.id);
        Self { counts, before, carried, carries }
    }

    /// What an entry has counted.
    pub(super) fn read(&self, at: u32) -> Result<Outcomes> {
        let per_cpu = self.counts.get(&at, 0).context("cannot read the map outcomes")?;
        let mut all = per_cpu.to_vec();
        all.push(self.before(at)?.counts);
        Ok(Outcomes::sum(&all))
    }

    /// What an entry has counted in maps that were too small, and the last of them.
    fn before(&self, at: u32) -> Result<CarriedCounts> {
        let mut sum = self.carried(at)?.unwrap_or_default();
        let carried = sum.map;
        for before in self.before.iter().filter(|before| u64::from(before.id) > carried) {
            let read = before.read(at)?;
            sum.counts = read.iter().flat_map(|per_cpu| per_cpu.iter()).fold(sum.counts, plus);
            sum.map = before.id.into();
        }
        Ok(sum)
    }

    fn carried(&self, at: u32) -> Result<Option<CarriedCounts>> {
        if !self.carries {
            return Ok(None);
        }
        match self.carried.get(&at, 0) {
            Ok(counts) => Ok(Some(counts)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(ENOENT) => Ok(None),
            Err(error) => Err(error).context("cannot read the map carried"),
        }
    }

    /// Sets an entry to zero, to which no socket and no route leads.
    pub(super) fn clear(&mut self, at: u32) -> Result<()> {
        let cpus = possible_cpus()? as usize;
        let before = self.before.iter_mut().map(|before| &mut before.counts);
        for counts in before.chain([&mut self.counts]) {
            if at < counts.len() {
                let zeros = PerCpuValues::try_from(vec![OutcomeCounts::default(); cpus])?;
                counts.set(at, zeros, 0).context("cannot write the map outcomes")?;
            }
        }
        if self.carries {
            remove(&mut self.carried, &at).context("cannot write the map carried")
        } else {
            Ok(())
        }
    }

    /// Pins the map, under a name that no other has: it may go on to count when a larger one has its place.
    pub(super) fn pin(&self, path: impl Fn(u32) -> PathBuf) -> Result<()> {
        let path = path(self.id()?);
        let pinned = IterableMap::map(&self.counts).pin(&path);
        pinned.with_context(|| format!("cannot pin the map outcomes at {}", path.display()))
    }

    /// The maps that were too small, with their numbers.
    pub(super) fn too_small(&self) -> impl Iterator<Item = (u32, &MapData)> {
        self.before.iter().map(Before::numbered)
    }

    fn id(&self) -> Result<u32> {
        Ok(IterableMap::map(&self.counts).info().context("the map outcomes has no number")?.id())
    }

    /// Copies what was carried before to that of a map that is larger.
    pub(super) fn carry_from(&mut self, smaller: &Self, all: impl Iterator<Item = u32>) -> Result<()> {
        for at in all {
            if let Some(carried) = smaller.carried(at)? {
                self.put(at, &carried)?;
            }
        }
        Ok(())
    }

    /// Goes on from what a map has counted that was too small, whose entries have the same places.
    pub(super) fn follow(&mut self, smaller: Self) -> Result<()> {
        let id = smaller.id()?;
        self.before = smaller.before;
        self.before.push(Before { id, counts: smaller.counts });
        Ok(())
    }

    /// Whether there are maps in which programs may still count.
    pub(super) const fn has_before(&self) -> bool {
        !self.before.is_empty()
    }

    /// Keeps what smaller maps have counted. To be called when no program counts there any more. Wherever it ends, each
    /// count is there once: what is carried says up to which map.
    pub(super) fn carry(&mut self, all: impl Iterator<Item = u32>) -> Result<()> {
        for at in all {
            let carried = self.before(at)?;
            if carried.counts != OutcomeCounts::default() {
                self.put(at, &carried)?;
            }
        }
        Ok(())
    }

    /// Gives smaller maps up whose counts are kept.
    pub(super) fn give_up_before(&mut self) {
        self.before.clear();
    }

    fn put(&mut self, at: u32, counts: &CarriedCounts) -> Result<()> {
        self.carries = true;
        self.carried.insert(at, counts, 0).context("cannot write the map carried")
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
        elsewhere,
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
    *elsewhere += b.elsewhere;
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
