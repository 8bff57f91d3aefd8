//! The loaded programs and maps, and the workloads they are attached to.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
#[expect(
    deprecated,
    reason = "its successor, cgrp_storage, needs 6.2; this one is per attachment, as wanted"
)]
use aya::maps::CgroupStorage;
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, cgroup_storage::CgroupStorageKey},
    programs::{CgroupAttachMode, CgroupSock, CgroupSockAddr, SockOps},
};
use tcproute_common::{
    AddressFilter, Backend, Counter, Cursor, RouteKey, RouteValue, SocketAddress, WorkloadIdentity,
};
use tracing::warn;

use super::{
    attach_types::{INET4_CONNECT, INET6_CONNECT},
    cgroup::{Cgroup, CgroupId},
    object::object,
    outcomes::{self, OutcomeMap},
    pins::PinDirectory,
    requirements::Features,
};
use crate::{
    outcomes::Outcomes,
    plan::{Change, Limits, MOST_TURNS, RouteChange, Size, Table, WorkloadId},
};

const SOCK_ADDR_PROGRAMS: [&str; 4] = ["connect4", "connect6", "getpeername4", "getpeername6"];
/// The maps that a person reads.
const PINNED_MAPS: [&str; 8] =
    ["routes", "backends", "endpoints", "turns", "cursors", "connections", "counters", "outcomes"];
const RELEASE_PROGRAM: &str = "sock_release";
const SOCK_OPS_PROGRAM: &str = "sock_ops";

/// A link to a cgroup is always "multi": beside programs of others. The kernel takes no flags for it.
const LINK_MODE: CgroupAttachMode = CgroupAttachMode::Single;

/// How the programs are loaded.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Sizes of the maps.
    pub limits: Limits,
    /// What the kernel can do.
    pub features: Features,
    /// Whether the programs write a log record for each decision. Without, the verifier removes that code.
    pub log_decisions: bool,
    /// Where to make the maps visible, for `bpftool map dump pinned`.
    pub pins: Option<&'a PinDirectory>,
}

/// One of the programs' counters, summed over the CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterValue {
    /// Which.
    pub counter: Counter,
    /// Since the programs were loaded.
    pub value: u64,
}

/// Programs and maps in the kernel. When it is dropped they are detached and freed, as the kernel does by
/// itself when the process dies.
pub struct Datapath {
    ebpf: Ebpf,
    routes: HashMap<MapData, RouteKey, RouteValue>,
    backends: Array<MapData, Backend>,
    endpoints: Array<MapData, SocketAddress>,
    turns: Array<MapData, u32>,
    cursors: Array<MapData, Cursor>,
    counters: PerCpuArray<MapData, u64>,
    outcomes: OutcomeMap,
    #[expect(deprecated, reason = "see the import")]
    workloads: CgroupStorage<MapData, WorkloadIdentity>,
    filters: BTreeMap<WorkloadId, AddressFilter>,
    attached: Vec<Attached>,
}

/// A cgroup that has the programs.
#[derive(Debug, Clone, Copy)]
struct Attached {
    id: CgroupId,
    workload: WorkloadId,
}

impl Datapath {
    /// Loads the programs. Nothing is attached yet.
    pub fn load(options: &Options<'_>) -> Result<Self> {
        let log_level: u8 = if options.log_decisions { aya_log::Level::Debug as u8 } else { 0 };
        let globals = options.features.globals();
        let mut loader = EbpfLoader::new();
        for (name, value) in &globals {
            loader.override_global(name, value, true);
        }
        let mut ebpf = loader
            .map_max_entries("routes", options.limits.routes)
            .map_max_entries("backends", options.limits.backends)
            .map_max_entries("endpoints", options.limits.endpoints)
            .map_max_entries("outcomes", options.limits.outcomes)
            .map_max_entries("turns", options.limits.turns)
            .map_max_entries("cursors", options.limits.cursors)
            .override_global(aya_log::LEVEL, &log_level, true)
            .load(object()?)
            .context("cannot load the eBPF object")?;
        for name in SOCK_ADDR_PROGRAMS {
            sock_addr_program(&mut ebpf, name)?
                .load()
                .with_context(|| format!("the kernel refuses the program {name}"))?;
        }
        release_program(&mut ebpf)?
            .load()
            .with_context(|| format!("the kernel refuses the program {RELEASE_PROGRAM}"))?;
        sock_ops_program(&mut ebpf)?
            .load()
            .with_context(|| format!("the kernel refuses the program {SOCK_OPS_PROGRAM}"))?;
        if let Some(pins) = options.pins {
            for (name, map) in ebpf.maps().filter(|(name, _)| PINNED_MAPS.contains(name)) {
                map.pin(pins.path(name)).with_context(|| format!("cannot pin the map {name}"))?;
            }
        }
        Ok(Self {
            routes: take(&mut ebpf, "routes")?,
            backends: take(&mut ebpf, "backends")?,
            endpoints: take(&mut ebpf, "endpoints")?,
            turns: take(&mut ebpf, "turns")?,
            cursors: take(&mut ebpf, "cursors")?,
            counters: take(&mut ebpf, "counters")?,
            outcomes: OutcomeMap(take(&mut ebpf, "outcomes")?),
            workloads: take(&mut ebpf, "workloads")?,
            filters: BTreeMap::new(),
            attached: Vec::new(),
            ebpf,
        })
    }

    /// The object, for the reader of its log.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Attaches the programs to a workload's cgroup. The cgroup gets its identity last: until then no route
    /// matches there.
    pub fn attach(&mut self, cgroup: &Cgroup, workload: WorkloadId) -> Result<()> {
        let at = |name: &str| format!("cannot attach {name} to the cgroup {}", cgroup.path().display());
        for name in SOCK_ADDR_PROGRAMS {
            sock_addr_program(&mut self.ebpf, name)?
                .attach(cgroup.directory(), LINK_MODE)
                .with_context(|| at(name))?;
        }
        release_program(&mut self.ebpf)?
            .attach(cgroup.directory(), LINK_MODE)
            .with_context(|| at(RELEASE_PROGRAM))?;
        sock_ops_program(&mut self.ebpf)?
            .attach(cgroup.directory(), LINK_MODE)
            .with_context(|| at(SOCK_OPS_PROGRAM))?;
        let attached = Attached { id: cgroup.id(), workload };
        self.identify(attached).with_context(|| at("the workload's identity"))?;
        self.attached.push(attached);
        Ok(())
    }

    /// Extends the filter of a workload. To be done before the routes change for which it is needed, and
    /// never undone: sockets may still hold states from routes that have left.
    pub fn extend_filter(&mut self, table: &Table, workload: WorkloadId) -> Result<()> {
        let filter = self.filters.entry(workload).or_insert(AddressFilter::EMPTY);
        let before = *filter;
        table.extend_filter(workload, filter);
        if *filter == before {
            return Ok(());
        }
        for attached in self.attached.clone().into_iter().filter(|attached| attached.workload == workload) {
            self.identify(attached).context("cannot write the map workloads")?;
        }
        Ok(())
    }

    fn identify(&mut self, Attached { id, workload }: Attached) -> Result<(), MapError> {
        let filter = self.filters.get(&workload).copied().unwrap_or(AddressFilter::EMPTY);
        let identity = WorkloadIdentity { workload: workload.get(), reserved: 0, filter };
        [INET4_CONNECT, INET6_CONNECT].into_iter().try_for_each(|attach_type| {
            self.workloads.insert(CgroupStorageKey::new(id.get(), attach_type), identity, 0)
        })
    }

    /// Applies a change. If a write fails, the routes that were replaced already are put back, so that the
    /// state before stays in force.
    pub fn apply(&mut self, change: &Change) -> Result<()> {
        for (first, endpoints) in &change.endpoints {
            for (index, endpoint) in (*first..).zip(endpoints) {
                self.endpoints.set(index, endpoint, 0).context("cannot write the map endpoints")?;
            }
        }
        for (first, backends) in &change.backends {
            for (index, backend) in (*first..).zip(backends) {
                self.backends.set(index, backend, 0).context("cannot write the map backends")?;
            }
        }
        for (first, turns) in &change.turns {
            for (index, turn) in (*first..).zip(turns) {
                self.turns.set(index, turn, 0).context("cannot write the map turns")?;
            }
        }
        for &cursor in &change.cursors {
            self.cursors.set(cursor, Cursor::START, 0).context("cannot write the map cursors")?;
        }
        for (done, route) in change.routes.iter().enumerate() {
            if let Err(error) = self.write_route(route.key, route.new) {
                let undone = change.routes[..done]
                    .iter()
                    .try_for_each(|RouteChange { key, old, .. }| self.write_route(*key, *old));
                if let Err(again) = undone {
                    warn!("the state before could not be restored: {again}");
                }
                return Err(anyhow!(error).context("cannot write the map routes"));
            }
        }
        Ok(())
    }

    fn write_route(&mut self, key: RouteKey, value: Option<RouteValue>) -> Result<(), MapError> {
        match value {
            Some(value) => self.routes.insert(key, value, 0),
            None => match self.routes.remove(&key) {
                Err(MapError::KeyNotFound) => Ok(()),
                result => result,
            },
        }
    }

    /// What became of the connections that an entry of `outcomes` counts.
    pub fn outcomes(&self, slot: u32) -> Result<Outcomes> {
        self.outcomes.read(slot)
    }

    /// Empties an entry of `outcomes`. No route and no socket may lead there.
    pub fn clear_outcomes(&mut self, slot: u32) -> Result<()> {
        self.outcomes.clear(slot)
    }

    /// All counters.
    pub fn counters(&self) -> Result<Vec<CounterValue>> {
        let sum = |counter: Counter| {
            let per_cpu = self.counters.get(&(counter as u32), 0)?;
            Ok(CounterValue { counter, value: per_cpu.iter().sum() })
        };
        Counter::ALL.into_iter().map(sum).collect()
    }
}

impl Limits {
    /// Maps for a table of this size, with room to grow and to hold a second version of all of it.
    pub fn with_room_for(size: Size) -> Result<Self> {
        Ok(Self {
            routes: capacity("routes", size.routes)?,
            backends: capacity("backendRefs", size.backends)?,
            endpoints: capacity("endpoints", size.endpoints)?,
            outcomes: outcomes::entries(size.outcomes, outcomes::possible_cpus()?),
            turns: match size.cursors {
                0 => 1,
                _ => capacity("turns", size.turns)?.max(2 * MOST_TURNS),
            },
            cursors: match size.cursors {
                0 => 1,
                cursors => capacity("routes", cursors)?,
            },
        })
    }
}

/// Entries that a map has at least, and 4 million at most: an array of them takes 96 MiB.
const CAPACITY: std::ops::RangeInclusive<u32> = 4096..=1 << 22;

fn capacity(what: &str, needed: usize) -> Result<u32> {
    let (least, most) = (*CAPACITY.start(), *CAPACITY.end());
    match u32::try_from(needed) {
        Ok(needed) if needed <= most / 2 => Ok((needed * 2).next_power_of_two().max(least)),
        _ => Err(anyhow!("{needed} {what} for the workloads of this node: the limit is {}", most / 2)),
    }
}

fn take<M: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> Result<M> {
    let map = ebpf.take_map(name).ok_or_else(|| anyhow!("the eBPF object has no map {name}"))?;
    M::try_from(map).with_context(|| format!("the map {name} of the eBPF object is of another layout"))
}

fn sock_addr_program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut CgroupSockAddr> {
    let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("the eBPF object has no program {name}"))?;
    Ok(program.try_into()?)
}

fn release_program(ebpf: &mut Ebpf) -> Result<&mut CgroupSock> {
    let program = ebpf
        .program_mut(RELEASE_PROGRAM)
        .ok_or_else(|| anyhow!("the eBPF object has no program {RELEASE_PROGRAM}"))?;
    Ok(program.try_into()?)
}

fn sock_ops_program(ebpf: &mut Ebpf) -> Result<&mut SockOps> {
    let program = ebpf
        .program_mut(SOCK_OPS_PROGRAM)
        .ok_or_else(|| anyhow!("the eBPF object has no program {SOCK_OPS_PROGRAM}"))?;
    Ok(program.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_room_for_a_second_version_and_more_is_refused_by_name() {
        let size = Size { routes: 1, backends: 2_097_152, endpoints: 5000, ..Size::default() };
        let limits = Limits::with_room_for(size).unwrap();
        assert_eq!((limits.routes, limits.backends, limits.endpoints), (4096, 1 << 22, 16_384));
        let error = Limits::with_room_for(Size { backends: 2_097_153, ..size }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2097153 backendRefs for the workloads of this node: the limit is 2097152"
        );
    }
}
