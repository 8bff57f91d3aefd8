//! What the kernel holds of tcproute.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use aya::{
    maps::MapData,
    programs::{
        links::{FdLink, PinnedLink},
        loaded_programs,
    },
};

/// The maps that are pinned.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    /// By name.
    pub(crate) ids: BTreeMap<String, u32>,
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
            maps.ids.insert(entry.file_name().to_string_lossy().into_owned(), map.info()?.id());
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd()))?;
            let memory = info.lines().find_map(|line| line.strip_prefix("memlock:"));
            maps.memory += memory.context("fdinfo has no memlock")?.trim().parse::<u64>()?;
        }
        Ok(maps)
    }
}

/// The programs behind the pinned links, by cgroup and hook.
pub(crate) fn links(pins: &Path) -> Result<BTreeMap<u64, BTreeMap<String, u32>>> {
    let links = pins.join("links");
    let mut found = BTreeMap::new();
    for cgroup in fs::read_dir(&links).with_context(|| format!("cannot read {}", links.display()))? {
        let cgroup = cgroup?;
        let number = cgroup.file_name().to_string_lossy().parse().context("a cgroup has a number")?;
        let mut hooks = BTreeMap::new();
        for hook in fs::read_dir(cgroup.path())? {
            let hook = hook?;
            let link = FdLink::from(PinnedLink::from_pin(hook.path())?);
            hooks.insert(hook.file_name().to_string_lossy().into_owned(), link.info()?.program_id());
        }
        found.insert(number, hooks);
    }
    Ok(found)
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
