//! Which of the maps that an earlier daemon has left this one goes on with.

use anyhow::Result;
use aya::maps::{MapInfo, cgroup_storage::CgroupStorageKey};
use tcproute_common::{
    Backend, ConnectionSlot, ConnectionState, LayoutVersion, RouteKey, RouteValue, SocketAddress,
    WorkloadIdentity,
};

use super::pins::PinDirectory;
use crate::plan::Limits;

/// A map, as this build has it.
struct Definition {
    name: &'static str,
    key: usize,
    value: usize,
}

impl Definition {
    const fn new<K, V>(name: &'static str) -> Self {
        Self { name, key: size_of::<K>(), value: size_of::<V>() }
    }

    /// What is pinned, if it is of this definition.
    fn find(&self, pins: &PinDirectory) -> Option<MapInfo> {
        let info = MapInfo::from_pin(pins.map(self.name)).ok()?;
        let same = info.key_size() as usize == self.key && info.value_size() as usize == self.value;
        same.then_some(info)
    }
}

/// Where connections go.
const TABLES: [Definition; 3] = [
    Definition::new::<RouteKey, RouteValue>("routes"),
    Definition::new::<u32, Backend>("backends"),
    Definition::new::<u32, SocketAddress>("endpoints"),
];

/// What sockets and cgroups have.
const STATES: [Definition; 4] = [
    Definition::new::<u32, ConnectionSlot>("connections"),
    Definition::new::<u32, ConnectionState>("overflow"),
    Definition::new::<CgroupStorageKey, WorkloadIdentity>("workloads"),
    Definition::new::<u32, u64>("counters"),
];

/// All maps that are pinned.
pub(super) fn is_pinned(map: &str) -> bool {
    TABLES.iter().chain(&STATES).any(|definition| definition.name == map)
}

/// What this daemon goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reuse {
    /// The tables, and what they were made for.
    pub(super) tables: Option<Limits>,
    /// The states. Without them the tables are not used either: programs that still run would look up the new
    /// numbers of workloads by their old ones.
    pub(super) states: bool,
}

impl Reuse {
    pub(super) const NOTHING: Self = Self { tables: None, states: false };

    /// The tables must be as large as is wanted now.
    pub(super) fn decide(pins: &PinDirectory, wanted: Limits) -> Result<Self> {
        let Some(layout) = pins.layout()? else { return Ok(Self::NOTHING) };
        let states = layout.states == LayoutVersion::CURRENT.states
            && STATES.iter().all(|definition| definition.find(pins).is_some());
        if !states {
            return Ok(Self::NOTHING);
        }
        let [routes, backends, endpoints] =
            TABLES.map(|definition| definition.find(pins).map_or(0, |info| info.max_entries()));
        let large_enough =
            routes >= wanted.routes && backends >= wanted.backends && endpoints >= wanted.endpoints;
        let same = layout.tables == LayoutVersion::CURRENT.tables;
        let tables = (same && large_enough).then_some(Limits { routes, backends, endpoints });
        Ok(Self { tables, states })
    }

    /// Their names.
    pub(super) fn maps(self) -> impl Iterator<Item = &'static str> {
        let states = STATES.iter().filter(move |_| self.states);
        let tables = TABLES.iter().filter(move |_| self.tables.is_some());
        states.chain(tables).map(|definition| definition.name)
    }
}
