//! The maps `namespaces` and `namespace_places`: what becomes of routed connections of each network namespace.

use std::io;

use anyhow::{Context, Result};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use tcproute_common::{Counter, NamespaceEntry, Way};

use super::maps::{again, removed};

/// Both, by file descriptors of their own.
pub struct NamespaceMap {
    all: Entries,
    places: Array<MapData, NamespaceEntry>,
}

/// The map `namespaces`.
type Entries = HashMap<MapData, u64, NamespaceEntry>;

/// The namespaces in a map that is pinned; none if there is no such map.
pub fn pinned_namespaces(path: &std::path::Path) -> Result<Vec<u64>> {
    match MapData::from_pin(path) {
        Ok(map) => keys(&HashMap::try_from(Map::HashMap(map))?),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Ok(Vec::new())
        }
        Err(error) => Err(error).context("cannot open the map namespaces"),
    }
}

fn keys(entries: &Entries) -> Result<Vec<u64>> {
    entries.keys().collect::<Result<_, _>>().context("cannot read the map namespaces")
}

impl NamespaceMap {
    /// The same maps once more.
    pub(super) fn open(all: &MapData, places: &MapData) -> Result<Self> {
        Ok(Self {
            all: HashMap::try_from(Map::HashMap(again(all)?))?,
            places: Array::try_from(Map::Array(again(places)?))?,
        })
    }

    /// What becomes of the connections of a namespace from now on, and whose are the sidecar's.
    pub fn set(&mut self, key: u64, way: Way, sidecar: u32) -> Result<()> {
        let entry = NamespaceEntry { key, way: way as u32, sidecar };
        self.all.insert(key, entry, 0).context("cannot write the map namespaces")?;
        let (place, owner) = self.place(key)?;
        if owner == key || owner == NamespaceEntry::NOBODY.key { self.put(place, entry) } else { Ok(()) }
    }

    /// They are held from now on.
    pub fn remove(&mut self, key: u64) -> Result<()> {
        let (place, owner) = self.place(key)?;
        if owner == key {
            self.put(place, NamespaceEntry::NOBODY)?;
        }
        removed(&mut self.all, &key).map(drop).context("cannot write the map namespaces")
    }

    /// The namespaces that there are.
    pub fn keys(&self) -> Result<Vec<u64>> {
        keys(&self.all)
    }

    /// The place that a namespace may have, and whose it is.
    fn place(&self, key: u64) -> Result<(u32, u64)> {
        let place = NamespaceEntry::place(key);
        let entry = self.places.get(&place, 0).context("cannot read the map namespace_places")?;
        Ok((place, entry.key))
    }

    fn put(&mut self, place: u32, entry: NamespaceEntry) -> Result<()> {
        self.places.set(place, entry, 0).context("cannot write the map namespace_places")
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
