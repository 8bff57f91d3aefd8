//! Which of the maps that an earlier daemon has left this one goes on with.

use std::io;

use anyhow::Result;
use aya::maps::cgroup_storage::CgroupStorageKey;
use nix::libc::{EAGAIN, EINTR, EMFILE, ENFILE, ENOMEM};
use tcproute_common::{
    Backend, BackendRef, CONNECTIONS, CarriedCounts, Counter, Cursor, Kept, LayoutVersion, NAMESPACE_PLACES,
    NAMESPACES, NamespaceEntry, NodeFilter, OutcomeCounts, RouteKey, SHARES, SealedRoute, Share,
    SocketAddress, Stored, WorkloadIdentity,
};
use tracing::warn;

use super::{
    pins::{PinDirectory, PinnedLayout, PinnedMap},
    sys::MapInfo,
};
use crate::plan::{LimitedMap, Limits};

/// A map, as this build has it.
struct Definition {
    name: &'static str,
    kind: Kind,
    key: usize,
    value: usize,
    /// `None` if it may have any number of entries.
    entries: Option<u32>,
}

/// Type and flags of a map (include/uapi/linux/bpf.h).
#[derive(Clone, Copy)]
enum Kind {
    Hash,
    Array,
    /// `BPF_F_MMAPABLE`
    AlignedArray,
    PerCpuArray,
    SkStorage,
    CgroupStorage,
}

impl Kind {
    const fn numbers(self) -> (u32, u32) {
        const NO_PREALLOC: u32 = 1;
        match self {
            Self::Hash => (1, NO_PREALLOC),
            Self::Array => (2, 0),
            Self::AlignedArray => (2, 1 << 10),
            Self::PerCpuArray => (6, 0),
            Self::CgroupStorage => (19, 0),
            Self::SkStorage => (24, NO_PREALLOC),
        }
    }
}

impl Definition {
    const fn new<K, V>(name: &'static str, kind: Kind, entries: Option<u32>) -> Self {
        Self { name, kind, key: size_of::<K>(), value: size_of::<V>(), entries }
    }

    /// What is pinned, if it is of this definition.
    fn find(&self, pins: &PinDirectory) -> Result<Option<MapInfo>> {
        let found = pins.find(self.name)?.filter(|found| self.is_of(found));
        if found.is_none() {
            warn!("no map {} that can be used is pinned: new ones are made", self.name);
        }
        Ok(found.map(|found| found.info))
    }

    /// Whether programs of this build can use it as their own. Without BTF it is none that a tcproute has made.
    fn is_of(&self, PinnedMap { info, frozen }: &PinnedMap) -> bool {
        (info.map_type, info.flags) == self.kind.numbers()
            && info.key_size as usize == self.key
            && info.value_size as usize == self.value
            && self.entries.is_none_or(|entries| info.max_entries == entries)
            && info.btf_value_type != 0
            && !frozen
    }
}

const OUTCOMES: Definition = Definition::new::<u32, OutcomeCounts>("outcomes", Kind::PerCpuArray, None);

/// Where connections go, and what became of them.
const TABLES: [Definition; 8] = [
    Definition::new::<RouteKey, SealedRoute>("routes", Kind::Hash, None),
    Definition::new::<u32, Backend>("backends", Kind::Array, None),
    Definition::new::<u32, SocketAddress>("endpoints", Kind::Array, None),
    Definition::new::<u32, u32>("turns", Kind::Array, None),
    Definition::new::<u32, Cursor>("cursors", Kind::Array, None),
    OUTCOMES,
    Definition::new::<u32, BackendRef>("backend_refs", Kind::Hash, None),
    Definition::new::<u32, CarriedCounts>("carried", Kind::Hash, None),
];

/// What sockets, cgroups and network namespaces have.
const STATES: [Definition; 8] = [
    Definition::new::<u32, Kept>("connections", Kind::AlignedArray, Some(CONNECTIONS)),
    Definition::new::<u32, Stored>("overflow", Kind::SkStorage, Some(0)),
    Definition::new::<u32, Share>("shares", Kind::Hash, Some(SHARES)),
    Definition::new::<u32, NodeFilter>("addresses", Kind::Array, Some(1)),
    Definition::new::<CgroupStorageKey, WorkloadIdentity>("workloads", Kind::CgroupStorage, Some(0)),
    Definition::new::<u64, NamespaceEntry>("namespaces", Kind::Hash, Some(NAMESPACES)),
    Definition::new::<u32, NamespaceEntry>("namespace_places", Kind::Array, Some(NAMESPACE_PLACES)),
    Definition::new::<u32, u64>("counters", Kind::PerCpuArray, Some(Counter::ALL.len() as u32)),
];

/// Whether what is pinned by that name is a map `outcomes`.
pub(super) fn is_outcomes(pins: &PinDirectory, name: &str) -> Result<bool> {
    Ok(pins.find(name)?.is_some_and(|found| OUTCOMES.is_of(&found)))
}

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
        if version.states != LayoutVersion::CURRENT.states {
            return Ok(Self::NOTHING);
        }
        let found = STATES.iter().map(|definition| definition.find(pins)).collect::<Result<Vec<_>>>()?;
        if !found.iter().all(Option::is_some) {
            return Ok(Self::NOTHING);
        }
        let reuse = Self { tables: None, states: true, generation };
        if version.tables != LayoutVersion::CURRENT.tables {
            return Ok(reuse.without_tables());
        }
        let found = TABLES.iter().map(|definition| definition.find(pins)).collect::<Result<Vec<_>>>()?;
        let mut entries = found.iter().map(|info| info.map_or(0, |info| info.max_entries));
        let [routes, backends, endpoints, turns, cursors, outcomes, backend_refs, carried] =
            TABLES.map(|_| entries.next().unwrap_or(0));
        let found = Limits { routes, backends, endpoints, outcomes, turns, cursors };
        let complete = LimitedMap::ALL.into_iter().all(|map| found.get(map) > 0);
        let same = [backend_refs, carried] == [outcomes; 2];
        let reuse = Self { tables: Some(found), ..reuse };
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

/// Whether the kernel will never take it, as it is. What it lacks at the moment is another matter.
pub(super) fn is_refused(error: &anyhow::Error) -> bool {
    let passing = [ENOMEM, EMFILE, ENFILE, EINTR, EAGAIN];
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    !causes.any(|cause| cause.raw_os_error().is_some_and(|number| passing.contains(&number)))
}
