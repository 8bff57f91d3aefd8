//! The map `namespaces`: what becomes of routed connections of each network namespace.

use std::io;

use anyhow::{Context, Result};
use aya::maps::{HashMap, Map, MapData};
use tcproute_common::{NamespaceEntry, Way};

use super::maps::removed;

/// By a file descriptor of its own.
pub struct NamespaceMap(HashMap<MapData, u64, NamespaceEntry>);

impl NamespaceMap {
    /// The same map once more.
    pub(super) fn open(map: &MapData) -> Result<Self> {
        Self::new(MapData::from_id(map.info()?.id())?)
    }

    /// One that is pinned, if there is one.
    pub fn pinned(path: &std::path::Path) -> Result<Option<Self>> {
        match MapData::from_pin(path) {
            Ok(map) => Self::new(map).map(Some),
            Err(aya::maps::MapError::SyscallError(error))
                if error.io_error.kind() == io::ErrorKind::NotFound =>
            {
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

    /// What it has for a namespace.
    pub fn get(&self, key: u64) -> Result<Option<NamespaceEntry>> {
        match self.0.get(&key, 0) {
            Ok(entry) => Ok(Some(entry)),
            Err(aya::maps::MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error).context("cannot read the map namespaces"),
        }
    }
}
