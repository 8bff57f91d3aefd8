//! The loaded programs and maps, and the workloads they are attached to.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    thread,
};

use anyhow::{Context, Result};
#[expect(
    deprecated,
    reason = "its successor, cgrp_storage, needs 6.2; this one is per attachment, as wanted"
)]
use aya::maps::CgroupStorage;
use aya::{
    Ebpf, EbpfLoader,
    maps::{
        Array, HashMap, IterableMap, MapData, MapError, PerCpuArray, PerCpuValues,
        cgroup_storage::CgroupStorageKey,
    },
    programs::links::FdLink,
};
use tcproute_common::{
    AddressFilter, ConnectionState, Counter, Event, FailingKey, Kept, LayoutVersion, NamespaceEntry,
    SocketAddress, WorkloadIdentity,
};

use tracing::warn;

use super::{
    addresses::Addresses,
    attach_types::{INET4_CONNECT, INET6_CONNECT},
    draws,
    events::Events,
    keep::duplicates,
    maps::{removed, take},
    namespaces::{HeldCount, NamespaceMap},
    object::object,
    outcomes::Before,
    pins::{PinDirectory, PinnedLayout},
    places,
    programs::{self, LoadedProgram},
    requirements::{self, Features},
    reuse::{Reuse, is_outcomes, is_pinned, is_refused},
    routed::{self, RoutedSockets},
    shares::{Shared, Shares, Taken},
    tables::Tables,
};
use crate::{
    outcomes::Outcomes,
    plan::{Change, Contents, Layout, Limits, WorkloadId},
    workloads::cgroups::{Cgroup, CgroupId},
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
    /// How many sockets are remembered that do not have their own place.
    pub sockets: u32,
    /// How routed connections are led past sidecars, if they are.
    pub past_sidecars: Option<PastSidecars>,
    /// The user of sidecars, as the host numbers it, where connections are not led past them.
    pub sidecar_uid: u32,
    /// Where maps and links outlive this process; without, they end with it.
    pub pins: Option<&'a PinDirectory>,
    /// Whether to go on with the tables that are pinned there, whatever size they have.
    pub reuse_tables: bool,
}

/// The bits of the mark of routed sockets, and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastSidecars {
    /// What they are.
    pub value: u32,
    /// The bits.
    pub mask: u32,
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
    pub(super) pins: Option<&'a PinDirectory>,
    reuse: Reuse,
    options: Options<'a>,
    limits: Limits,
    links: Vec<FdLink>,
    pub(super) tables: Tables,
    counters: PerCpuArray<MapData, u64>,
    failing: HashMap<MapData, FailingKey, u32>,
    shares: Shares,
    events: Events,
    connections: Array<MapData, Kept>,
    #[expect(deprecated, reason = "see the import")]
    workloads: CgroupStorage<MapData, WorkloadIdentity>,
    namespaces: HashMap<MapData, u64, NamespaceEntry>,
    namespace_places: Array<MapData, NamespaceEntry>,
    addresses: Addresses,
    /// Whether the programs make events.
    traced: bool,
    filters: BTreeMap<WorkloadId, AddressFilter>,
    pub(super) attached: BTreeMap<WorkloadId, CgroupId>,
    /// Cgroups that still run the programs from before the maps were made larger.
    behind: BTreeSet<CgroupId>,
    /// The maps that are pinned, by name, to be pinned again.
    pub(super) pinned: Vec<(String, OwnedFd)>,
    /// Up to which workload pins were looked at.
    pub(super) looked_at: Option<WorkloadId>,
}

impl<'a> Datapath<'a> {
    /// Loads the programs. Nothing is attached yet, and what an earlier daemon has attached runs as before.
    pub fn load(options: &Options<'a>) -> Result<Self> {
        requirements::check_detected()?;
        let mut reuse = match options.pins {
            Some(pins) => Reuse::decide(pins)?,
            None => Reuse::NOTHING,
        };
        if reuse.tables.is_some() && !options.reuse_tables {
            reuse = reuse.without_tables();
        }
        match Self::load_with(options, reuse) {
            Err(error) if reuse != Reuse::NOTHING && is_refused(&error) => {
                warn!("cannot go on with the maps that are pinned, new ones are made: {error:#}");
                options.pins.map_or(Ok(()), PinDirectory::discard_next)?;
                Self::load_with(options, Reuse::NOTHING)
            }
            loaded => loaded,
        }
    }

    fn load_with(options: &Options<'a>, reuse: Reuse) -> Result<Self> {
        let limits = reuse.tables.unwrap_or(options.limits);
        let log_level: u8 = if options.log_decisions { aya_log::Level::Debug as u8 } else { 0 };
        let globals = options.features.globals();
        let generation = u32::from(reuse.generation);
        let mark = options.past_sidecars.map_or([0; 3], |PastSidecars { value, mask }| [1, value, mask]);
        let mut loader = EbpfLoader::new();
        let ejects = u32::from(options.ejects);
        loader.override_global("GENERATION", &generation, true).override_global("EJECTS", &ejects, true);
        for (name, value) in ["GETS_PAST", "MARK_VALUE", "MARK_MASK"].into_iter().zip(&mark) {
            loader.override_global(name, value, true);
        }
        loader.override_global("SIDECAR_UID", &options.sidecar_uid, true);
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
            .map_max_entries("carried", limits.outcomes)
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
        let mut before = Vec::new();
        if let Some(pins) = options.pins.filter(|_| reuse.tables.is_some()) {
            for name in pins.before()? {
                if is_outcomes(pins, &name)? {
                    before.push(Before::open(&pins.map(&name))?);
                } else {
                    pins.move_aside(&name, "it is no map outcomes")?;
                }
            }
        }
        let pinned = options.pins.map_or_else(|| Ok(Vec::new()), |_| duplicates(&ebpf))?;
        draws::begin(take(&mut ebpf, "draws")?)?;
        Ok(Self {
            tables: Tables::take(&mut ebpf, before)?,
            counters: take(&mut ebpf, "counters")?,
            failing: take(&mut ebpf, "failing")?,
            shares: Shares::take(&mut ebpf, options.sockets)?,
            events: Events::new(take(&mut ebpf, "events")?),
            connections: take(&mut ebpf, "connections")?,
            workloads: take(&mut ebpf, "workloads")?,
            namespaces: take(&mut ebpf, "namespaces")?,
            namespace_places: take(&mut ebpf, "namespace_places")?,
            addresses: Addresses::take(&mut ebpf)?,
            traced: false,
            filters: BTreeMap::new(),
            attached: BTreeMap::new(),
            behind: BTreeSet::new(),
            pinned,
            looked_at: None,
            links: Vec::new(),
            pins: options.pins,
            options: *options,
            reuse,
            limits,
            ebpf,
        })
    }

    /// What the maps were made for.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// What is in the tables, if they are those of an earlier daemon. The error is an `Inconsistent` if that cannot be.
    pub fn contents(&self) -> Result<Option<Contents>> {
        self.reuse.tables.is_some().then(|| self.tables.contents()).transpose()
    }

    /// The workload that this cgroup is to the programs already. What its routes have begun or ended at is kept. If the
    /// daemon before was killed while maps grew, the cgroup may still run the programs of before.
    pub fn adopt(&mut self, cgroup: CgroupId) -> Result<Option<WorkloadId>> {
        if !self.reuse.states {
            return Ok(None);
        }
        let key = CgroupStorageKey::new(cgroup.get(), INET4_CONNECT);
        let identity = match self.workloads.get(key, 0) {
            Ok(identity) => identity,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error).context("cannot read the map workloads"),
        };
        let Some(workload) = WorkloadId::new(identity.workload) else { return Ok(None) };
        self.filters.entry(workload).or_insert(AddressFilter::EMPTY).extend(&identity.filter);
        if self.has_more_to_carry() {
            self.behind.insert(cgroup);
        }
        Ok(Some(workload))
    }

    /// The object, for the reader of its log.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// The programs, by the kernel's numbers.
    pub fn program_ids(&mut self) -> Result<Vec<u32>> {
        Ok(self.programs()?.iter().map(|program| program.id).collect())
    }

    /// The programs.
    pub fn programs(&mut self) -> Result<Vec<LoadedProgram>> {
        programs::loaded(&mut self.ebpf)
    }

    /// Attaches the programs to a workload's cgroup, in place of those that are attached there. A cgroup that is new
    /// gets its identity last: until then no route matches there.
    pub fn attach(&mut self, cgroup: &Cgroup, workload: WorkloadId) -> Result<()> {
        self.shares.admit(workload)?;
        let identity = || format!("cannot write the identity of the cgroup {}", cgroup.path().display());
        match self.pins {
            Some(pins) => {
                let pinned = programs::attach_pinned(&mut self.ebpf, cgroup, pins, !self.reuse.states)?;
                self.identify(cgroup.id(), workload).with_context(identity)?;
                pinned.replace()?;
            }
            None => {
                self.links.extend(programs::attach(&mut self.ebpf, cgroup)?);
                self.identify(cgroup.id(), workload).with_context(identity)?;
            }
        }
        self.attached.insert(workload, cgroup.id());
        self.behind.remove(&cgroup.id());
        self.resize_shares()
    }

    /// Each workload has as large a share as there can be for all.
    fn resize_shares(&mut self) -> Result<()> {
        if self.shares.resize(self.attached.len())? { self.identify_all() } else { Ok(()) }
    }

    /// Gives the share of a workload back that is detached and has no routes any more.
    pub fn dismiss(&mut self, workload: WorkloadId) -> Result<()> {
        self.shares.dismiss(workload.get())?;
        self.resize_shares()
    }

    /// Gives the shares of all but these workloads back.
    pub fn dismiss_others(&mut self, ours: &BTreeSet<u32>) -> Result<()> {
        self.shares.retain(|workload| ours.contains(&workload))
    }

    /// What one workload may take.
    pub fn share(&self, of: Shared) -> u32 {
        self.shares.most(of)
    }

    /// What a workload has taken, in the order of [`Shared::ALL`].
    pub fn taken(&self, workload: WorkloadId) -> Result<[Taken; 3]> {
        self.shares.taken(workload.get())
    }

    /// How many events were lost, by the number of the workload.
    pub fn events_lost(&self) -> Result<BTreeMap<u32, u64>> {
        self.shares.events_lost()
    }

    /// Detaches the programs from a pinned workload's cgroup, be it there or not.
    pub fn detach(&mut self, cgroup: CgroupId, workload: WorkloadId) -> Result<()> {
        self.attached.remove(&workload);
        self.behind.remove(&cgroup);
        self.pins.map_or(Ok(()), |pins| pins.remove_links(cgroup))
    }

    /// Makes the maps larger: new ones are made, filled with what the old ones have, at the same places, and put in
    /// place while the programs run. Each connection meanwhile goes by the old ones or by the new ones, which say the
    /// same. If that fails, nothing has changed.
    ///
    /// What programs count in the old map of outcomes until they are replaced is kept: see [`Self::carry`].
    pub fn grow(&mut self, limits: Limits, layout: &Layout) -> Result<()> {
        let pins = self.pins.context("the maps of a single command do not grow")?;
        let next = self.larger(pins, limits, layout).and_then(|next| next.commit().map(|()| next));
        let next = match next {
            Ok(next) => next,
            Err(error) => {
                // Else they would be put in place with the next ones.
                pins.discard_next()?;
                return Err(error);
            }
        };
        let before = std::mem::replace(self, next);
        self.tables.outcomes.follow(before.tables.outcomes)?;
        // What cannot be replaced now goes on with the routes of before, and is tried again.
        if let Err(error) = self.catch_up() {
            warn!("{error:#}: tried again");
        }
        Ok(())
    }

    /// Larger maps with the same in them, and the programs for them.
    fn larger(&self, pins: &PinDirectory, limits: Limits, layout: &Layout) -> Result<Self> {
        let reuse = Reuse { states: true, ..self.reuse.with_larger_tables() };
        let options = Options { limits, ..self.options };
        let mut next = Self::load_with(&options, reuse).context("cannot make larger maps")?;
        for change in layout.fill() {
            next.tables.apply(&change).context("cannot fill larger maps")?;
        }
        next.tables.copy_cursors(&self.tables, layout.cursors())?;
        next.tables.outcomes.carry_from(&self.tables.outcomes, layout.counted().map(|(.., at)| at))?;
        self.tables.outcomes.pin(|id| pins.next_before(id))?;
        next.traced = self.traced;
        next.filters.clone_from(&self.filters);
        next.attached.clone_from(&self.attached);
        next.attached.keys().try_for_each(|&workload| next.shares.admit(workload))?;
        // As large as those that are known to the programs.
        next.shares.resize(next.attached.len())?;
        next.behind = self.attached.values().copied().collect();
        Ok(next)
    }

    /// Puts the programs behind every link that have the maps of now.
    pub fn catch_up(&mut self) -> Result<()> {
        let Some(pins) = self.pins else { return Ok(()) };
        let mut result = Ok(());
        for cgroup in self.behind.clone() {
            match programs::replace_pinned(&mut self.ebpf, cgroup, pins) {
                Ok(()) => drop(self.behind.remove(&cgroup)),
                Err(error) => {
                    let at = || format!("the cgroup with the number {cgroup} has the maps of before");
                    result = Err(error).with_context(at);
                }
            }
        }
        result
    }

    /// Whether a cgroup runs the programs from before the maps were made larger.
    pub fn is_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// Gives up the maps of outcomes that were too small, and keeps what they have counted. To be called when no
    /// program can still be running from before the maps were made larger.
    pub fn carry(&mut self, layout: &Layout) -> Result<()> {
        if self.is_behind() || !self.tables.outcomes.has_before() {
            return Ok(());
        }
        self.tables.outcomes.carry(layout.counted().map(|(.., at)| at))?;
        self.pins.map_or(Ok(()), PinDirectory::remove_before)?;
        self.tables.outcomes.give_up_before();
        Ok(())
    }

    /// Whether maps of outcomes that were too small are still there.
    pub const fn has_more_to_carry(&self) -> bool {
        self.tables.outcomes.has_before()
    }

    /// Detaches what an earlier daemon has attached to other cgroups than these.
    pub fn detach_others(&self, ours: &BTreeSet<CgroupId>) -> Result<()> {
        let Some(pins) = self.pins else { return Ok(()) };
        pins.cgroups()?.difference(ours).try_for_each(|&cgroup| pins.remove_links(cgroup))?;
        pins.detach_broken(ours)
    }

    /// Waits for programs that had begun when their workload was detached: they may still count, or take a place.
    pub fn wait_for_detached(&self) {
        thread::sleep(places::FILLED);
    }

    /// What was decided for sockets, to be read from anywhere.
    pub fn routed_sockets(&self) -> Result<RoutedSockets> {
        let overflow = self.ebpf.map("overflow").context("the eBPF object has no map overflow")?;
        RoutedSockets::open(IterableMap::<u32, Kept>::map(&self.connections), overflow)
    }

    /// What becomes of connections by network namespace, to be told from anywhere.
    pub fn namespaces(&self) -> Result<NamespaceMap> {
        NamespaceMap::open(
            IterableMap::<u64, NamespaceEntry>::map(&self.namespaces),
            IterableMap::<u32, NamespaceEntry>::map(&self.namespace_places),
        )
    }

    /// How many of them were held, as above.
    pub fn held(&self) -> Result<HeldCount> {
        HeldCount::open(IterableMap::<u32, PerCpuValues<u64>>::map(&self.counters))
    }

    /// Forgets the sockets that count at these entries of `outcomes`, after their workloads were detached.
    pub fn forget_sockets(&mut self, outcomes: &BTreeSet<u32>) -> Result<()> {
        places::free(&mut self.connections, self.reuse.generation, outcomes)
    }

    /// To be called when the tables are complete, before anything is attached. A later daemon then goes on with these
    /// maps, whichever programs this one comes to replace. If there are new states, links made for older ones may be
    /// left among those for the new: until [`commit`](Self::commit) it begins with nothing.
    pub fn prepare_attaching(&self) -> Result<()> {
        if self.reuse.states {
            return self.commit();
        }
        self.pins.map_or(Ok(()), PinDirectory::invalidate)
    }

    /// From here on a later daemon goes on with these maps.
    pub fn commit(&self) -> Result<()> {
        self.pins.map_or(Ok(()), |pins| pins.commit(self.layout()))
    }

    /// Of what is pinned.
    pub(super) const fn layout(&self) -> PinnedLayout {
        PinnedLayout { version: LayoutVersion::CURRENT, generation: self.reuse.generation }
    }

    /// Detaches what an earlier daemon has left in a wrong place, but from cgroups to which nothing else is attached
    /// yet.
    pub fn detach_broken(&self, wanted: &BTreeSet<CgroupId>) -> Result<()> {
        let attached: BTreeSet<CgroupId> = self.attached.values().copied().collect();
        self.pins.map_or(Ok(()), |pins| pins.detach_broken(&(wanted - &attached)))
    }

    /// Lets a workload's programs look at these addresses, at which its routes begin or end. To be done before the
    /// routes change for which it is needed, and never undone: sockets may still hold states from routes that have
    /// left.
    pub fn extend_filter<'e>(
        &mut self,
        workload: WorkloadId,
        addresses: impl Iterator<Item = &'e SocketAddress> + Clone,
    ) -> Result<()> {
        self.addresses.extend(addresses.clone())?;
        let before = self.filters.get(&workload).copied().unwrap_or(AddressFilter::EMPTY);
        let mut filter = before;
        addresses.for_each(|address| filter.insert(address));
        if filter == before {
            return Ok(());
        }
        self.filters.insert(workload, filter);
        let Some(&cgroup) = self.attached.get(&workload) else { return Ok(()) };
        let identified = self.identify(cgroup, workload);
        if identified.is_err() {
            // Else it would count as written the next time.
            self.filters.insert(workload, before);
        }
        identified.context("cannot write the map workloads")
    }

    /// Forgets what a workload's programs have looked at. To be done when its routes are gone: whoever is attached anew
    /// with routes of before needs it.
    pub fn forget(&mut self, workload: WorkloadId) {
        self.filters.remove(&workload);
    }

    fn identify(&mut self, cgroup: CgroupId, workload: WorkloadId) -> Result<(), MapError> {
        let filter = self.filters.get(&workload).copied().unwrap_or(AddressFilter::EMPTY);
        let remembers = self.shares.most(Shared::Sockets);
        let identity = WorkloadIdentity {
            workload: workload.get(),
            traced: u32::from(self.traced),
            remembers,
            reserved: 0,
            filter,
        };
        [INET4_CONNECT, INET6_CONNECT].into_iter().try_for_each(|attach_type| {
            self.workloads.insert(CgroupStorageKey::new(cgroup.get(), attach_type), identity, 0)
        })
    }

    /// Applies a change, or none of it.
    pub fn apply(&mut self, change: &Change) -> Result<()> {
        self.tables.apply(change)
    }

    /// What was decided for the socket with this cookie, if it has a place.
    pub fn state_of(&self, cookie: u64) -> Result<Option<ConnectionState>> {
        routed::state_of(&self.connections, cookie)
    }

    /// How many connections are established to each endpoint, by the entry of `outcomes` that counts them, as far as
    /// sockets have places. It takes some ten milliseconds.
    pub fn established(&self) -> Result<BTreeMap<(u32, SocketAddress), u64>> {
        places::established(&self.connections, self.reuse.generation)
    }

    /// What became of the connections that an entry of `outcomes` counts.
    pub fn outcomes(&self, at: u32) -> Result<Outcomes> {
        self.tables.outcomes.read(at)
    }

    /// Empties an entry of `outcomes`. No route and no socket may lead there.
    pub fn clear_outcomes(&mut self, at: u32) -> Result<()> {
        self.tables.clear_outcomes(at)
    }

    /// The events that are there.
    pub fn read_events(&mut self) -> Result<Vec<Event>> {
        let events = self.events.read();
        let mut read = BTreeMap::<u32, u32>::new();
        for event in &events {
            *read.entry(event.workload).or_default() += 1;
        }
        read.into_iter()
            .try_for_each(|(workload, count)| self.shares.give_back(Shared::Events, workload, count))?;
        Ok(events)
    }

    /// Has the programs make events, or no more.
    pub fn set_traced(&mut self, traced: bool) -> Result<()> {
        self.traced = traced;
        self.identify_all()
    }

    fn identify_all(&mut self) -> Result<()> {
        let attached = self.attached.clone();
        // One whose cgroup has gone meanwhile has no identity.
        let identified = attached.into_iter().map(|(workload, cgroup)| self.identify(cgroup, workload));
        let failed = identified.filter_map(Result::err).find(|error| !is_gone(error));
        failed.map_or(Ok(()), Err).context("cannot write the map workloads")
    }

    /// Who has failed, and how often in a row.
    pub fn failing(&self) -> Result<Vec<(FailingKey, u32)>> {
        self.failing.iter().collect::<Result<_, _>>().context("cannot read the map failing")
    }

    /// Counts the failures of a workload's endpoint from 0 again.
    pub fn forgive(&mut self, key: FailingKey, workload: u32) -> Result<()> {
        if removed(&mut self.failing, &key).context("cannot write the map failing")? {
            self.shares.give_back(Shared::Failing, workload, 1)?;
        }
        Ok(())
    }

    /// Forgets the failures that are counted for these entries of `outcomes`, each of a workload.
    pub fn forget_failing(&mut self, outcomes: &BTreeMap<u32, u32>) -> Result<()> {
        if !self.options.ejects || outcomes.is_empty() {
            return Ok(());
        }
        for (key, _) in self.failing()? {
            if let Some(&workload) = outcomes.get(&key.outcomes) {
                self.forgive(key, workload)?;
            }
        }
        Ok(())
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

/// Whether there is no identity to be read or written, since its cgroup is not there any more or was never attached.
fn is_gone(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound => true,
        MapError::SyscallError(error) => error.io_error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}
