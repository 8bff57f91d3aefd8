//! Keeping what is in force pinned: what vanishes is pinned again, or told to be attached anew.

use std::{
    ops::Bound,
    os::fd::{AsFd, OwnedFd},
};

use anyhow::{Context, Result, bail};
use aya::{Ebpf, maps::Map};

use super::{
    Datapath,
    pins::{LinksAre, PinDirectory},
    reuse::is_pinned,
};
use crate::{plan::WorkloadId, workloads::cgroups::CgroupId};

/// So many workloads are looked at each time.
const AT_A_TIME: usize = 2000;

/// What was missing.
#[derive(Debug, Default)]
pub struct Missing {
    /// How many maps and links were pinned again.
    pub again: usize,
    /// Cgroups in which programs do not run any more: they are to be attached.
    pub lost: Vec<CgroupId>,
}

impl Datapath<'_> {
    /// Sees to it that everything is pinned. Where there are many workloads, some of them at a time. The error says why
    /// nothing can be pinned at present.
    pub fn keep_pinned(&mut self) -> Result<Missing> {
        let mut missing = Missing::default();
        let Some(pins) = self.pins else { return Ok(missing) };
        pins.look()?;
        let layout = self.layout();
        let maps = self.pinned.iter().map(|(name, map)| (name.clone(), map.as_fd()));
        let too_small = self.tables.outcomes.too_small();
        let too_small = too_small.map(|(id, map)| (PinDirectory::before_name(id), map.fd().as_fd()));
        missing.again += pins.restore_maps(&maps.chain(too_small).collect::<Vec<_>>(), layout)?;
        // Who has moved needs all of them at once.
        let has_moved = pins.has_moved();
        let from = self.looked_at.filter(|_| !has_moved).map_or(Bound::Unbounded, Bound::Excluded);
        let looked_at = self.attached.range((from, Bound::Unbounded));
        let looked_at: Vec<(WorkloadId, CgroupId)> = looked_at
            .map(|(&workload, &cgroup)| (workload, cgroup))
            .take(if has_moved { usize::MAX } else { AT_A_TIME })
            .collect();
        self.looked_at =
            looked_at.last().map(|(workload, _)| *workload).filter(|_| looked_at.len() == AT_A_TIME);
        for (_, cgroup) in looked_at {
            match pins.restore_links(cgroup)? {
                LinksAre::There => {}
                LinksAre::Again(links) => missing.again += links,
                LinksAre::Lost => missing.lost.push(cgroup),
            }
        }
        if missing.lost.is_empty() {
            pins.leave_former();
            pins.detach_replaced()?;
        }
        Ok(missing)
    }
}

/// File descriptors of the maps that are pinned, by name.
pub(super) fn duplicates(ebpf: &Ebpf) -> Result<Vec<(String, OwnedFd)>> {
    let pinned = ebpf.maps().filter(|(name, _)| is_pinned(name));
    let duplicate = |(name, map): (&str, &Map)| {
        let (Map::Array(data)
        | Map::HashMap(data)
        | Map::PerCpuArray(data)
        | Map::SkStorage(data)
        | Map::CgroupStorage(data)) = map
        else {
            bail!("the map {name} is of another kind")
        };
        let again = data.fd().as_fd().try_clone_to_owned();
        Ok((name.to_owned(), again.with_context(|| format!("cannot keep the map {name}"))?))
    };
    pinned.map(duplicate).collect()
}
