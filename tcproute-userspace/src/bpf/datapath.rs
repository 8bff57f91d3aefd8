//! The loaded programs and maps, and the workloads they are attached to.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    os::fd::OwnedFd,
};

use anyhow::{Context, Result, anyhow};
#[expect(
    deprecated,
    reason = "its successor, cgrp_storage, needs 6.2; this one is per attachment, as wanted"
)]
use aya::maps::CgroupStorage;
use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{
        Array, HashMap, IterableMap, Map, MapData, MapError, PerCpuArray, cgroup_storage::CgroupStorageKey,
    },
    programs::links::FdLink,
};
use nix::libc::ENOENT;
use tcproute_common::{
    AddressFilter, Backend, BackendRef, Counter, Cursor, Event, FailingKey, Kept, LayoutVersion, RouteKey,
    RouteValue, SocketAddress, WorkloadIdentity,
};
use tracing::warn;

use super::{
    attach_types::{INET4_CONNECT, INET6_CONNECT},
    cgroup::{Cgroup, CgroupId},
    events::Events,
    object::object,
    outcomes::{self, OutcomeMap},
    pins::{PinDirectory, PinnedLayout},
    programs::{self, LoadedProgram},
    requirements::Features,
    reuse::{Reuse, is_pinned},
    routed::RoutedSockets,
    slots,
};
use crate::{
    outcomes::Outcomes,
    plan::{Change, Contents, Limits, MOST_TURNS, RouteChange, Size, Table, WorkloadId},
};

/// How the programs are loaded.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Sizes of the maps.
    pub limits: Limits,
    /// What the kernel can do.
    pub features: Features,
    /// Whether the programs write a log record for each decision. Without, the verifier removes that code.
    pub log_decisions: bool,
    /// Whether to count failures by endpoint.
    pub ejects: bool,
    /// Where maps and links outlive this process; without, they end with it.
    pub pins: Option<&'a PinDirectory>,
    /// Whether to go on with the tables that are pinned there.
    pub reuse_tables: bool,
}

/// One of the programs' counters, summed over the CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterValue {
    /// Which.
    pub counter: Counter,
    /// Since the programs were loaded.
    pub value: u64,
}

/// Programs and maps in the kernel. What is not pinned is detached and freed when this is dropped, as the kernel does
/// by itself when the process dies.
pub struct Datapath<'a> {
    ebpf: Ebpf,
    pins: Option<&'a PinDirectory>,
    reuse: Reuse,
    limits: Limits,
    links: Vec<FdLink>,
    /// Held so that the kernel can be asked about them.
    pinned_links: BTreeMap<CgroupId, Vec<OwnedFd>>,
    routes: HashMap<MapData, RouteKey, RouteValue>,
    backends: Array<MapData, Backend>,
    endpoints: Array<MapData, SocketAddress>,
    turns: Array<MapData, u32>,
    cursors: Array<MapData, Cursor>,
    counters: PerCpuArray<MapData, u64>,
    outcomes: OutcomeMap,
    failing: HashMap<MapData, FailingKey, u32>,
    events: Events,
    backend_refs: HashMap<MapData, u32, BackendRef>,
    connections: Array<MapData, Kept>,
    #[expect(deprecated, reason = "see the import")]
    workloads: CgroupStorage<MapData, WorkloadIdentity>,
    /// Whether the programs make events.
    traced: bool,
    filters: BTreeMap<WorkloadId, AddressFilter>,
    attached: Vec<Attached>,
}

/// A cgroup that has the programs.
#[derive(Debug, Clone, Copy)]
struct Attached {
    id: CgroupId,
    workload: WorkloadId,
}

impl<'a> Datapath<'a> {
    /// Loads the programs. Nothing is attached yet, and what an earlier daemon has attached runs as before.
    pub fn load(options: &Options<'a>) -> Result<Self> {
        let mut reuse = match options.pins {
            Some(pins) => Reuse::decide(pins, options.limits)?,
            None => Reuse::NOTHING,
        };
        if reuse.tables.is_some() && !options.reuse_tables {
            reuse = reuse.without_tables();
        }
        let limits = reuse.tables.unwrap_or(options.limits);
        let log_level: u8 = if options.log_decisions { aya_log::Level::Debug as u8 } else { 0 };
        let globals = options.features.globals();
        let generation = u32::from(reuse.generation);
        let mut loader = EbpfLoader::new();
        let ejects = u32::from(options.ejects);
        loader.override_global("GENERATION", &generation, true).override_global("EJECTS", &ejects, true);
        for (name, value) in &globals {
            loader.override_global(name, value, true);
        }
        loader
            .map_max_entries("routes", limits.routes)
            .map_max_entries("backends", limits.backends)
            .map_max_entries("endpoints", limits.endpoints)
            .map_max_entries("turns", limits.turns)
            .map_max_entries("cursors", limits.cursors)
            .map_max_entries("outcomes", limits.outcomes)
            .map_max_entries("backend_refs", limits.outcomes)
            .override_global(aya_log::LEVEL, &log_level, true);
        if let Some(pins) = options.pins {
            for name in reuse.maps() {
                loader.map_pin_path(name, pins.map(name));
            }
        }
        let mut ebpf = loader.load(object()?).context("cannot load the eBPF object")?;
        programs::load(&mut ebpf)?;
        if let Some(pins) = options.pins {
            let reused: BTreeSet<&str> = reuse.maps().collect();
            for (name, map) in ebpf.maps().filter(|(name, _)| is_pinned(name) && !reused.contains(name)) {
                map.pin(pins.next_map(name)).with_context(|| format!("cannot pin the map {name}"))?;
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
            backend_refs: take(&mut ebpf, "backend_refs")?,
            failing: take(&mut ebpf, "failing")?,
            events: Events::new(take(&mut ebpf, "events")?),
            connections: take(&mut ebpf, "connections")?,
            workloads: take(&mut ebpf, "workloads")?,
            traced: false,
            filters: BTreeMap::new(),
            attached: Vec::new(),
            links: Vec::new(),
            pinned_links: BTreeMap::new(),
            pins: options.pins,
            reuse,
            limits,
            ebpf,
        })
    }

    /// What the maps were made for.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// What is in the tables, if they are those of an earlier daemon.
    pub fn contents(&self) -> Result<Option<Contents>> {
        if self.reuse.tables.is_none() {
            return Ok(None);
        }
        let mut contents = Contents::default();
        for route in &self.routes {
            let (key, value) = route.context("cannot read the map routes")?;
            contents.routes.insert(key, value);
            for index in value.first_backend..value.first_backend.saturating_add(value.backend_count) {
                let backend = self.backends.get(&index, 0).context("cannot read the map backends")?;
                contents.backends.insert(index, backend);
                for index in
                    backend.first_endpoint..backend.first_endpoint.saturating_add(backend.endpoint_count)
                {
                    let endpoint = self.endpoints.get(&index, 0).context("cannot read the map endpoints")?;
                    contents.endpoints.insert(index, endpoint);
                }
            }
            for index in value.first_turn..value.first_turn.saturating_add(value.turn_count) {
                if let Entry::Vacant(turn) = contents.turns.entry(index) {
                    turn.insert(self.turns.get(&index, 0).context("cannot read the map turns")?);
                }
            }
        }
        for backend_ref in &self.backend_refs {
            let (slot, backend_ref) = backend_ref.context("cannot read the map backend_refs")?;
            contents.backend_refs.insert(slot, backend_ref);
        }
        Ok(Some(contents))
    }

    /// The workload that this cgroup is to the programs already. What its routes have begun or ended at is kept.
    pub fn adopt(&mut self, cgroup: &Cgroup) -> Option<WorkloadId> {
        if !self.reuse.states {
            return None;
        }
        let key = CgroupStorageKey::new(cgroup.id().get(), INET4_CONNECT);
        let identity = self.workloads.get(key, 0).ok()?;
        let workload = WorkloadId::new(identity.workload)?;
        self.filters.entry(workload).or_insert(AddressFilter::EMPTY).extend(&identity.filter);
        Some(workload)
    }

    /// The object, for the reader of its log.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// The programs.
    pub fn programs(&mut self) -> Result<Vec<LoadedProgram>> {
        programs::loaded(&mut self.ebpf)
    }

    /// Attaches the programs to a workload's cgroup, in place of those that are attached there. A cgroup that is new gets
    /// its identity last: until then no route matches there.
    pub fn attach(&mut self, cgroup: &Cgroup, workload: WorkloadId) -> Result<()> {
        let attached = Attached { id: cgroup.id(), workload };
        let identity = || format!("cannot write the identity of the cgroup {}", cgroup.path().display());
        match self.pins {
            Some(pins) => {
                let pinned = programs::attach_pinned(&mut self.ebpf, cgroup, pins, !self.reuse.states)?;
                self.identify(attached).with_context(identity)?;
                self.pinned_links.insert(cgroup.id(), pinned.replace()?);
            }
            None => {
                self.links.extend(programs::attach(&mut self.ebpf, cgroup)?);
                self.identify(attached).with_context(identity)?;
            }
        }
        self.attached.push(attached);
        Ok(())
    }

    /// Detaches the programs from a pinned workload's cgroup, be it there or not, and forgets it.
    pub fn detach(&mut self, cgroup: CgroupId, workload: WorkloadId) -> Result<()> {
        self.attached.retain(|attached| attached.id != cgroup);
        self.filters.remove(&workload);
        // A program is detached when nothing leads to its link any more, neither a file descriptor nor a pin.
        self.pinned_links.remove(&cgroup);
        self.pins.map_or(Ok(()), |pins| pins.remove_links(cgroup))
    }

    /// Detaches what an earlier daemon has attached to other cgroups than these.
    pub fn detach_others(&self, ours: &BTreeSet<CgroupId>) -> Result<()> {
        let Some(pins) = self.pins else { return Ok(()) };
        pins.cgroups()?.difference(ours).try_for_each(|&cgroup| pins.remove_links(cgroup))
    }

    /// What was decided for sockets, to be read from anywhere.
    pub fn routed_sockets(&self) -> Result<RoutedSockets> {
        let overflow = self.ebpf.map("overflow").context("the eBPF object has no map overflow")?;
        RoutedSockets::open(IterableMap::<u32, Kept>::map(&self.connections), overflow)
    }

    /// Forgets the sockets that count at these entries of `outcomes`, after their workloads were detached.
    pub fn forget_sockets(&mut self, outcomes: &BTreeSet<u32>) -> Result<()> {
        slots::free(&mut self.connections, self.reuse.generation, outcomes)
    }

    /// From here on a later daemon goes on with these maps.
    pub fn commit(&self) -> Result<()> {
        self.pins.map_or(Ok(()), |pins| {
            let layout = PinnedLayout { version: LayoutVersion::CURRENT, generation: self.reuse.generation };
            pins.commit(layout)
        })
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
        let identity = WorkloadIdentity { workload: workload.get(), traced: u32::from(self.traced), filter };
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
        for (slot, backend_ref) in &change.backend_refs {
            self.backend_refs.insert(slot, backend_ref, 0).context("cannot write the map backend_refs")?;
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
            None => remove(&mut self.routes, &key),
        }
    }

    /// What became of the connections that an entry of `outcomes` counts.
    pub fn outcomes(&self, slot: u32) -> Result<Outcomes> {
        self.outcomes.read(slot)
    }

    /// Empties an entry of `outcomes`. No route and no socket may lead there.
    pub fn clear_outcomes(&mut self, slot: u32) -> Result<()> {
        self.outcomes.clear(slot)?;
        remove(&mut self.backend_refs, &slot).context("cannot write the map backend_refs")
    }

    /// The events that are there.
    pub fn read_events(&mut self) -> Vec<Event> {
        self.events.read()
    }

    /// Has the programs make events, or no more.
    pub fn set_traced(&mut self, traced: bool) -> Result<()> {
        self.traced = traced;
        let attached = self.attached.clone();
        attached
            .into_iter()
            .try_for_each(|attached| self.identify(attached))
            .context("cannot write the map workloads")
    }

    /// Who has failed at least so often in a row.
    pub fn failing(&self, after: u32) -> Result<Vec<FailingKey>> {
        let mut failing = Vec::new();
        for entry in &self.failing {
            let (key, count) = entry.context("cannot read the map failing")?;
            failing.extend((count >= after).then_some(key));
        }
        Ok(failing)
    }

    /// Counts the failures of an endpoint from 0 again.
    pub fn forgive(&mut self, endpoint: SocketAddress, outcomes: u32) -> Result<()> {
        remove(&mut self.failing, &FailingKey { endpoint, outcomes }).context("cannot write the map failing")
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

/// Removes an entry, if it is there.
fn remove<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>, key: &K) -> Result<(), MapError> {
    match map.remove(key) {
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(ENOENT) => Ok(()),
        result => result,
    }
}

fn take<M: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> Result<M> {
    let map = ebpf.take_map(name).ok_or_else(|| anyhow!("the eBPF object has no map {name}"))?;
    M::try_from(map).with_context(|| format!("the map {name} of the eBPF object is of another layout"))
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
