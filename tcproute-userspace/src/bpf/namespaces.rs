//! The map `namespaces`: what becomes of routed connections of each network namespace.

use std::io;

use anyhow::{Context, Result};
use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray};
use tcproute_common::{Counter, NamespaceEntry, Way};

use super::maps::{again, removed};

/// By a file descriptor of its own.
pub struct NamespaceMap(HashMap<MapData, u64, NamespaceEntry>);

impl NamespaceMap {
    /// The same map once more.
    pub(super) fn open(map: &MapData) -> Result<Self> {
        Self::new(again(map)?)
    }

    /// One that is pinned, if there is one.
    pub fn pinned(path: &std::path::Path) -> Result<Option<Self>> {
        match MapData::from_pin(path) {
            Ok(map) => Self::new(map).map(Some),
            Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error).context("cannot open the map namespaces"),
        }
    }

    fn new(map: MapData) -> Result<Self> {
        Ok(Self(HashMap::try_from(Map::HashMap(map))?))
    }

    /// What becomes of the connections of a namespace from now on, and whose are the sidecar's.
    pub fn set(&mut self, key: u64, way: Way, sidecar: u32) -> Result<()> {
        let entry = NamespaceEntry { key, way: way as u32, sidecar };
        self.0.insert(key, entry, 0).context("cannot write the map namespaces")
    }

    /// They are held from now on.
    pub fn remove(&mut self, key: u64) -> Result<()> {
        removed(&mut self.0, &key).map(drop).context("cannot write the map namespaces")
    }

    /// The namespaces that it has.
    pub fn keys(&self) -> Result<Vec<u64>> {
        self.0.keys().collect::<Result<_, _>>().context("cannot read the map namespaces")
    }
}

/// How many connections were held, by a file descriptor of its own.
pub struct HeldCount(PerCpuArray<MapData, u64>);

impl HeldCount {
    /// Of the same map of counters.
    pub(super) fn open(counters: &MapData) -> Result<Self> {
        Ok(Self(PerCpuArray::try_from(Map::PerCpuArray(again(counters)?))?))
    }

    /// Since the map was made.
    pub fn read(&self) -> Result<u64> {
        let per_cpu = self.0.get(&(Counter::Held as u32), 0).context("cannot read the map counters")?;
        Ok(per_cpu.iter().sum())
    }
}
