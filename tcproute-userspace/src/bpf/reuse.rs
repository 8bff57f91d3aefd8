//! Which of the maps that an earlier daemon has left this one goes on with.

use anyhow::Result;
use aya::maps::{MapInfo, cgroup_storage::CgroupStorageKey};
use tcproute_common::{
    Backend, BackendRef, CarriedCounts, Cursor, Kept, LayoutVersion, OutcomeCounts, RouteKey, RouteValue,
    SocketAddress, WorkloadIdentity,
};

use super::pins::{PinDirectory, PinnedLayout};
use crate::plan::{LimitedMap, Limits};

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

/// Where connections go, and what became of them.
const TABLES: [Definition; 8] = [
    Definition::new::<RouteKey, RouteValue>("routes"),
    Definition::new::<u32, Backend>("backends"),
    Definition::new::<u32, SocketAddress>("endpoints"),
    Definition::new::<u32, u32>("turns"),
    Definition::new::<u32, Cursor>("cursors"),
    Definition::new::<u32, OutcomeCounts>("outcomes"),
    Definition::new::<u32, BackendRef>("backend_refs"),
    Definition::new::<u32, CarriedCounts>("carried"),
];

/// What sockets and cgroups have.
const STATES: [Definition; 4] = [
    Definition::new::<u32, Kept>("connections"),
    Definition::new::<u32, Kept>("overflow"),
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
    /// Of the map `outcomes` that this daemon uses.
    pub(super) generation: u8,
}

impl Reuse {
    pub(super) const NOTHING: Self = Self { tables: None, states: false, generation: 0 };

    /// Tables of any size will do: they grow.
    pub(super) fn decide(pins: &PinDirectory) -> Result<Self> {
        let Some(PinnedLayout { version, generation }) = pins.layout()? else { return Ok(Self::NOTHING) };
        let states = version.states == LayoutVersion::CURRENT.states
            && STATES.iter().all(|definition| definition.find(pins).is_some());
        if !states {
            return Ok(Self::NOTHING);
        }
        let [routes, backends, endpoints, turns, cursors, outcomes, backend_refs, carried] =
            TABLES.map(|definition| definition.find(pins).map_or(0, |info| info.max_entries()));
        let found = Limits { routes, backends, endpoints, outcomes, turns, cursors };
        let complete = LimitedMap::ALL.into_iter().all(|map| found.get(map) > 0);
        let same =
            version.tables == LayoutVersion::CURRENT.tables && [backend_refs, carried] == [outcomes; 2];
        let reuse = Self { tables: Some(found), states, generation };
        Ok(if same && complete { reuse } else { reuse.without_tables() })
    }

    /// With tables that are made larger, in which everything stands where it stood.
    pub(super) const fn with_larger_tables(self) -> Self {
        Self { tables: None, ..self }
    }

    /// With tables that are made anew.
    pub(super) const fn without_tables(self) -> Self {
        Self { tables: None, generation: self.generation.wrapping_add(1), ..self }
    }

    /// Their names.
    pub(super) fn maps(self) -> impl Iterator<Item = &'static str> {
        let states = STATES.iter().filter(move |_| self.states);
        let tables = TABLES.iter().filter(move |_| self.tables.is_some());
        states.chain(tables).map(|definition| definition.name)
    }
}
