//! What the kernel holds of tcproute.

use std::{
    collections::BTreeSet,
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use aya::{maps::MapData, programs::loaded_programs};

/// The maps that are pinned.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    pub(crate) count: usize,
    pub(crate) ids: BTreeSet<u32>,
    /// In bytes.
    pub(crate) memory: u64,
}

impl Maps {
    pub(crate) fn pinned(pins: &Path) -> Result<Self> {
        let mut maps = Self::default();
        for entry in fs::read_dir(pins).with_context(|| format!("cannot read {}", pins.display()))? {
            let entry = entry?;
            if !entry.file_type()?.is_file() {
                continue;
            }
            let map = MapData::from_pin(entry.path())?;
            maps.count += 1;
            maps.ids.insert(map.info()?.id());
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd()))?;
            let memory = info.lines().find_map(|line| line.strip_prefix("memlock:"));
            maps.memory += memory.context("fdinfo has no memlock")?.trim().parse::<u64>()?;
        }
        Ok(maps)
    }
}

/// How many of these programs there still are.
pub(crate) fn alive(programs: &BTreeSet<u32>) -> usize {
    // One that goes meanwhile is an error, and gone.
    let ids = loaded_programs().filter_map(|program| program.ok().map(|program| program.id()));
    ids.filter(|id| programs.contains(id)).count()
}

/// How many of these maps there still are.
pub(crate) fn alive_maps(maps: &BTreeSet<u32>) -> usize {
    let ids = aya::maps::loaded_maps().filter_map(|map| map.ok().map(|map| map.id()));
    ids.filter(|id| maps.contains(id)).count()
}
