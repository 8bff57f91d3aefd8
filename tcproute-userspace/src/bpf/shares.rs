//! What each workload may take in the kernel of what all share, and what it has taken: states of sockets, endpoints
//! that fail, events. Who takes more loses alone.
//!
//! Each gets an equal part, so the parts of all are never more than there is. They get smaller when workloads come:
//! then those that had more keep it until their sockets end.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};
use nix::libc::EEXIST;
use tcproute_common::{Credit, EVENT_BYTES, Event, FAILING, SHARES, Share, Spent};

use super::{
    events,
    maps::{remove, take},
};
use crate::plan::WorkloadId;

/// Of nobody: events of which it is not known any more whose they are.
const NOBODY: u32 = 0;

/// No workload gets more than such a part, however few there are: others may come.
const FEWEST_PARTS: u32 = 4;

/// Only an entry that is not there is written.
const IF_ABSENT: u64 = 1;

/// A record in the ring buffer, with what the kernel writes before it.
const RECORD: u32 = size_of::<Event>() as u32 + 8;

/// Something of which each workload has a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shared {
    /// States of sockets that are not in their own place.
    Sockets,
    /// Endpoints at which handshakes fail.
    Failing,
    /// Events that wait for their reader.
    Events,
}

impl Shared {
    /// All.
    pub const ALL: [Self; 3] = [Self::Sockets, Self::Failing, Self::Events];

    /// As in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Failing => "failing",
            Self::Events => "events",
        }
    }
}

/// How much one workload has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// At present.
    pub entries: u32,
    /// How often it found its share taken.
    pub exceeded: u64,
}

/// The maps.
pub(super) struct Shares {
    shares: HashMap<MapData, u32, Share>,
    spent: HashMap<MapData, u32, Spent>,
    credits: HashMap<MapData, u32, Credit>,
    /// What was read or removed, by workload.
    returned: BTreeMap<u32, Credit>,
    /// States of sockets that all together may have.
    sockets: u32,
    parts: u32,
}

impl Shares {
    /// Those of the object.
    pub(super) fn take(ebpf: &mut Ebpf, sockets: u32) -> Result<Self> {
        let mut shares = Self {
            shares: take(ebpf, "shares")?,
            spent: take(ebpf, "spent")?,
            credits: take(ebpf, "credits")?,
            returned: BTreeMap::new(),
            sockets,
            parts: FEWEST_PARTS,
        };
        shares.open(NOBODY)?;
        Ok(shares)
    }

    /// What one workload may take.
    pub(super) fn most(&self, of: Shared) -> u32 {
        let all = match of {
            Shared::Sockets => self.sockets,
            Shared::Failing => FAILING,
            // The other half is for whoever comes first.
            Shared::Events => EVENT_BYTES / 2 / RECORD,
        };
        (all / self.parts).max(1)
    }

    /// Gives a workload its share. To be done before its programs run.
    pub(super) fn admit(&mut self, workload: WorkloadId) -> Result<()> {
        // Anything that no other one with this number has had in the last hour.
        let epoch = (events::now().context("cannot read the clock")? / 1000) as u32;
        let share = Share { remembered: 0, epoch, unremembered: 0 };
        let what = || format!("cannot write the map shares, in which {SHARES} workloads find room");
        if_absent(self.shares.insert(workload.get(), share, IF_ABSENT)).with_context(what)?;
        self.open(workload.get())
    }

    fn open(&mut self, workload: u32) -> Result<()> {
        if_absent(self.spent.insert(workload, Spent::default(), IF_ABSENT))
            .context("cannot write the map spent")?;
        self.returned.entry(workload).or_default();
        self.write(workload)
    }

    /// Takes back the share of a workload for which no program runs any more.
    pub(super) fn dismiss(&mut self, workload: u32) -> Result<()> {
        self.returned.remove(&workload);
        remove(&mut self.credits, &workload).context("cannot write the map credits")?;
        remove(&mut self.spent, &workload).context("cannot write the map spent")?;
        remove(&mut self.shares, &workload).context("cannot write the map shares")
    }

    /// Takes back the shares of all but these.
    pub(super) fn retain(&mut self, is_there: impl Fn(u32) -> bool) -> Result<()> {
        let numbers: Vec<u32> =
            self.shares.keys().collect::<Result<_, _>>().context("cannot read the map shares")?;
        numbers.into_iter().filter(|&number| !is_there(number)).try_for_each(|number| self.dismiss(number))
    }

    /// Adapts the shares to so many workloads. Whether they are others now.
    pub(super) fn resize(&mut self, workloads: usize) -> Result<bool> {
        let wanted = parts(workloads);
        // Not at each that comes and goes.
        if wanted <= self.parts && wanted.saturating_mul(4) > self.parts {
            return Ok(false);
        }
        self.parts = wanted;
        let numbers: Vec<u32> = self.returned.keys().copied().collect();
        numbers.into_iter().try_for_each(|number| self.write(number))?;
        Ok(true)
    }

    /// Events of a workload were read, or entries of `failing` removed.
    pub(super) fn give_back(&mut self, of: Shared, workload: u32, count: u32) -> Result<()> {
        let Some(returned) = self.returned.get_mut(&workload) else { return Ok(()) };
        let number = match of {
            Shared::Sockets => return Ok(()),
            Shared::Failing => &mut returned.failing,
            Shared::Events => &mut returned.events,
        };
        *number = number.wrapping_add(count);
        self.write(workload)
    }

    fn write(&mut self, workload: u32) -> Result<()> {
        let Some(Credit { failing, events }) = self.returned.get(&workload).copied() else { return Ok(()) };
        let credit = Credit {
            failing: failing.wrapping_add(self.most(Shared::Failing)),
            events: events.wrapping_add(self.most(Shared::Events)),
        };
        self.credits.insert(workload, credit, 0).context("cannot write the map credits")
    }

    /// How much a workload has, in the order of [`Shared::ALL`].
    pub(super) fn taken(&self, workload: u32) -> Result<[Taken; 3]> {
        let returned = self.returned.get(&workload).copied().unwrap_or_default();
        let share = absent(self.shares.get(&workload, 0)).context("cannot read the map shares")?;
        let spent = self.spent(workload)?;
        let entries =
            |spent: u32, returned: u32| spent.wrapping_sub(returned).cast_signed().max(0).cast_unsigned();
        Ok([
            share.map_or(Taken::default(), |share| Taken {
                entries: share.remembered,
                exceeded: share.unremembered,
            }),
            Taken { entries: entries(spent.failing, returned.failing), exceeded: spent.failing_lost },
            Taken { entries: entries(spent.events, returned.events), exceeded: spent.events_lost },
        ])
    }

    /// How many events found no room, by workload.
    pub(super) fn events_lost(&self) -> Result<BTreeMap<u32, u64>> {
        let entry = |entry: Result<(u32, Spent), MapError>| {
            let (workload, spent) = entry?;
            Ok((workload, spent.events_lost))
        };
        self.spent.iter().map(entry).collect::<Result<_, MapError>>().context("cannot read the map spent")
    }

    fn spent(&self, workload: u32) -> Result<Spent> {
        let spent = absent(self.spent.get(&workload, 0)).context("cannot read the map spent")?;
        Ok(spent.unwrap_or_default())
    }
}

/// Into how many parts everything is divided for so many workloads.
fn parts(workloads: usize) -> u32 {
    u32::try_from(workloads.next_power_of_two()).unwrap_or(SHARES).max(FEWEST_PARTS)
}

/// An entry that is there stays.
fn if_absent(inserted: Result<(), MapError>) -> Result<(), MapError> {
    match inserted {
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(EEXIST) => Ok(()),
        inserted => inserted,
    }
}

fn absent<T>(found: Result<T, MapError>) -> Result<Option<T>, MapError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_all_are_never_more_than_there_is() {
        for workloads in [0, 1, 3, 4, 5, 64, 65, 10_000] {
            assert!(parts(workloads) as usize >= workloads.max(4), "{workloads}");
        }
        assert_eq!([1, 4, 5, 1000].map(parts), [4, 4, 8, 1024]);
    }
}
