//! What is in force: the workloads, their routes, and the maps and programs in the kernel. The only place that changes
//! them.

mod reclaim;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result};
use rustc_hash::{FxHashMap, FxHashSet};
use tcproute_common::{RouteKey, SocketAddress};
use tokio::time::Instant;
use tracing::{info, warn};

use super::settle::{Routing, Step, Steps, Workload};
use crate::{
    bpf::{Datapath, Missing, Options, pins::PinDirectory},
    outcomes::Outcomes,
    plan::{
        Change, Counting, Demand, Edit, Inconsistent, Layout, LimitedMap, Limits, Memory, OverLimit, RefName,
        Retired, Staged, WorkloadId, WorkloadIds,
    },
    workloads::{
        Found, Local,
        cgroups::{Cgroup, CgroupId},
    },
};

/// Routes in force in the kernel.
pub(super) struct InForce<'a> {
    pub(super) datapath: Datapath<'a>,
    pub(super) layout: Layout,
    pub(super) workloads: BTreeMap<CgroupId, Workload>,
    ids: WorkloadIds,
    /// What an earlier daemon has attached to cgroups of which is not known whether they are ours.
    unclaimed: BTreeMap<CgroupId, WorkloadId>,
    /// Cgroups to which an earlier daemon has attached programs, those among them that are none of this build's
    /// workloads.
    linked: BTreeSet<CgroupId>,
    /// Numbers of workloads whose routes and counts it has left, and no cgroup.
    orphans: BTreeSet<WorkloadId>,
    /// Whether there may be any of these.
    others: bool,
    /// Numbers of workloads that are gone, and since when. Others get them when nothing is counted for these any more.
    freed: Vec<(Instant, WorkloadId)>,
    /// Runs that no route leads to any more, and since when.
    retired: Vec<(Instant, Retired)>,
    /// When the maps were made larger, if counts are still in those of before.
    grown: Option<Instant>,
    memory: Memory,
    /// Whether the maps can be made larger.
    grows: bool,
}

/// What came of steps.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) changed: Vec<Changed>,
    /// Whether any workload has other routes, be it only by what there is to say of them.
    pub(super) renewed: bool,
    /// Entries of `outcomes` that have counted nothing yet.
    pub(super) fresh: FxHashSet<u32>,
    pub(super) attached: Vec<CgroupId>,
    pub(super) forgotten: Vec<CgroupId>,
    pub(super) failures: Vec<Failed>,
    /// Whether the maps were made larger.
    pub(super) grown: bool,
}

/// A route that is another one now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changed {
    pub(super) key: RouteKey,
    /// Whether its weights are, or it is new or gone.
    pub(super) weights: bool,
}

/// Whether programs are attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attach {
    Now,
    /// Left for the next time: other steps come first.
    Later,
}

/// Steps that have failed, of one workload or, without a cgroup, of none.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) cgroup: Option<CgroupId>,
    pub(super) at: FailedAt,
    pub(super) error: anyhow::Error,
}

/// Where steps have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailedAt {
    /// The routes before stay in force.
    Routing,
    /// There is no room for the routes: those before stay in force.
    Room,
    /// Programs are not attached.
    Attaching,
    /// Programs still run where they should not.
    Detaching,
}

impl<'a> InForce<'a> {
    /// Loads the programs, and goes on from the maps that an earlier daemon has left.
    pub(super) fn load(options: &Options<'a>, memory: Memory) -> Result<Self> {
        let datapath = Datapath::load(options)?;
        let limits = datapath.limits();
        let adopted = match datapath.contents() {
            Ok(contents) => contents.map(|contents| Layout::adopt(limits, &contents)),
            Err(error) => Some(Err(error.downcast::<Inconsistent>()?)),
        };
        let (datapath, layout) = match adopted {
            None => (datapath, Layout::new(limits)),
            Some(Ok(layout)) => {
                info!("going on with the routes of an earlier daemon");
                (datapath, layout)
            }
            Some(Err(inconsistent)) => {
                warn!("{inconsistent}: new ones are made");
                drop(datapath);
                let datapath = Datapath::load(&Options { reuse_tables: false, ..*options })?;
                let layout = Layout::new(datapath.limits());
                (datapath, layout)
            }
        };
        let grows = options.pins.is_some();
        let grown = datapath.has_more_to_carry().then(Instant::now);
        let (workloads, ids) = (BTreeMap::new(), WorkloadIds::default());
        Ok(Self {
            datapath,
            layout,
            workloads,
            ids,
            unclaimed: BTreeMap::new(),
            linked: BTreeSet::new(),
            orphans: BTreeSet::new(),
            others: true,
            freed: Vec::new(),
            retired: Vec::new(),
            grown,
            memory,
            grows,
        })
    }

    /// Takes over the workloads of an earlier daemon among these cgroups, and detaches what it has attached to others,
    /// if it is known which those are.
    pub(super) fn adopt(&mut self, pins: Option<&PinDirectory>, local: &Local) -> Result<()> {
        self.linked = pins.map_or_else(|| Ok(BTreeSet::new()), PinDirectory::cgroups)?;
        for &cgroup in &self.linked {
            if let Some(id) = self.datapath.adopt(cgroup)?.filter(|&id| self.ids.keep(id)) {
                self.unclaimed.insert(cgroup, id);
            }
        }
        let left: BTreeSet<WorkloadId> =
            self.layout.workloads().chain(self.layout.departed_workloads()).collect();
        self.orphans = left.into_iter().filter(|&id| self.ids.keep(id)).collect();
        for Found { path, id: cgroup, .. } in local.found.iter() {
            if let Some(id) = self.unclaimed.remove(cgroup) {
                // Its programs are replaced when it is attached.
                self.insert(*cgroup, path, id, true);
            }
        }
        self.release_others(local)
    }

    /// Detaches what an earlier daemon has attached to cgroups that are not among these, once it is certain that these
    /// are all.
    pub(super) fn release_others(&mut self, local: &Local) -> Result<()> {
        if !self.others || !local.complete {
            return Ok(());
        }
        let ours: BTreeSet<CgroupId> = local.found.iter().map(|found| found.id).collect();
        // Before their numbers are given to others.
        self.datapath.detach_others(&ours)?;
        self.linked.retain(|cgroup| ours.contains(cgroup));
        let others = self.unclaimed.extract_if(.., |cgroup, _| !ours.contains(cgroup));
        self.orphans.extend(others.map(|(_, id)| id));
        let unclaimed = self.unclaimed.values().map(|id| id.get());
        self.datapath.dismiss_others(&self.numbers().into_iter().chain(unclaimed).collect())?;
        while let Some(&id) = self.orphans.first() {
            self.remove_routes(id).context("cannot remove the routes of workloads that are gone")?;
            self.orphans.remove(&id);
            self.freed.push((Instant::now(), id));
        }
        self.others = false;
        self.forget_sockets_of_others()
    }

    /// All routes, as if each had just come: those of an earlier daemon have no beginning.
    pub(super) fn all_routes(&self) -> Vec<Changed> {
        let of = |workload: &Workload| {
            let dialled = self.layout.dialled(workload.id);
            let key = |&dialled: &SocketAddress| RouteKey { dialled, workload: workload.id.get() };
            dialled.map(key).map(|key| Changed { key, weights: true }).collect::<Vec<_>>()
        };
        self.workloads.values().flat_map(of).collect()
    }

    /// Takes the steps. What fails ends the steps of its workload.
    pub(super) fn apply(&mut self, steps: Vec<Steps>, attach: Attach) -> Applied {
        let mut applied = Applied::default();
        self.reclaim();
        self.make_room(&steps, &mut applied);
        for Steps { cgroup, path, steps } in steps {
            for step in steps {
                let (at, done) = match step {
                    Step::Detach => (FailedAt::Detaching, self.detach(cgroup)),
                    Step::Forget => (FailedAt::Routing, self.forget(cgroup, &mut applied)),
                    Step::Route(routing) => {
                        (FailedAt::Routing, self.route(cgroup, &path, routing, &mut applied))
                    }
                    Step::Attach if attach == Attach::Later => break,
                    Step::Attach => (FailedAt::Attaching, self.attach(cgroup, &path, &mut applied)),
                };
                if let Err(error) = done {
                    let at = if error.is::<OverLimit>() { FailedAt::Room } else { at };
                    applied.failures.push(Failed { cgroup: Some(cgroup), at, error });
                    break;
                }
            }
        }
        if !applied.forgotten.is_empty()
            && let Err(error) = self.forget_sockets_of_others()
        {
            warn!("sockets outlive their cgroup: {error:#}");
        }
        applied
    }

    /// Makes the maps larger, if these steps may need it.
    fn make_room(&mut self, steps: &[Steps], applied: &mut Applied) {
        let id = |cgroup: &CgroupId| self.workloads.get(cgroup).map(|workload| workload.id);
        let demand = demand(&self.layout, steps, id);
        let before = self.layout.limits();
        if before.has_room_for(&demand) || !self.grows {
            return;
        }
        let limits = before.grown_for(&demand, self.memory);
        if limits == before {
            return;
        }
        match self.grow(limits) {
            Ok(()) => applied.grown = true,
            Err(error) => {
                let error = error.context("cannot make the maps larger");
                applied.failures.push(Failed { cgroup: None, at: FailedAt::Routing, error });
            }
        }
    }

    fn grow(&mut self, limits: Limits) -> Result<()> {
        let begun = Instant::now();
        self.datapath.grow(limits, &self.layout)?;
        self.layout.grow(limits);
        self.grown = Some(Instant::now());
        let sizes: Vec<String> =
            LimitedMap::ALL.into_iter().map(|map| format!("{map} {}", limits.get(map))).collect();
        let ms = begun.elapsed().as_secs_f64() * 1000.0;
        info!("maps made larger in {ms:.0} ms: {}", sizes.join(", "));
        Ok(())
    }

    fn route(
        &mut self,
        cgroup: CgroupId,
        path: &Path,
        routing: Routing,
        applied: &mut Applied,
    ) -> Result<()> {
        let id = match self.workloads.get(&cgroup) {
            Some(workload) => workload.id,
            None => self.admit(cgroup, path),
        };
        let Routing { edits, routes, out, beyond } = routing;
        self.put(id, &edits, applied)?;
        if let Some(workload) = self.workloads.get_mut(&cgroup) {
            workload.path = path.to_path_buf();
            workload.routes = Some(routes);
            workload.out = out;
            workload.beyond = beyond;
        }
        applied.renewed = true;
        Ok(())
    }

    /// A workload that has come, with what an earlier daemon has left it.
    fn admit(&mut self, cgroup: CgroupId, path: &Path) -> WorkloadId {
        let id = self.unclaimed.remove(&cgroup).unwrap_or_else(|| self.ids.take());
        self.insert(cgroup, path, id, self.linked.contains(&cgroup));
        id
    }

    fn insert(&mut self, cgroup: CgroupId, path: &Path, id: WorkloadId, inherited: bool) {
        let (path, out) = (path.to_path_buf(), BTreeMap::new());
        let workload =
            Workload { path, id, routes: None, out, beyond: 0, attached: false, inherited, late: false };
        self.workloads.insert(cgroup, workload);
    }

    /// Puts other routes of a workload in force, all of them or none.
    fn put(&mut self, id: WorkloadId, edits: &[Edit], applied: &mut Applied) -> Result<()> {
        if edits.is_empty() {
            return Ok(());
        }
        let mut staged = self.stage(id, edits, applied)?;
        let addresses = edits.iter().flat_map(|edit| {
            let table = edit.table.as_ref();
            let endpoints = table.into_iter().flat_map(|table| table.endpoints());
            table.map(|_| &edit.dialled).into_iter().chain(endpoints)
        });
        let written = self.datapath.extend_filter(id, addresses);
        let written = written.and_then(|()| self.datapath.apply(&staged.change));
        if let Err(error) = written {
            let retired = self.layout.abandon(staged);
            self.retired.push((Instant::now(), retired));
            return Err(error);
        }
        let weights = |edit: &Edit| {
            let before = self.layout.table(id, &edit.dialled);
            match (before, &edit.table) {
                (Some(before), Some(after)) => !before.weights().eq(after.weights()),
                _ => true,
            }
        };
        applied.changed.extend(edits.iter().map(|edit| Changed {
            key: RouteKey { dialled: edit.dialled, workload: id.get() },
            weights: weights(edit),
        }));
        applied.fresh.extend(staged.change.backend_refs.iter().map(|(at, _)| *at));
        staged.change = Change::default();
        let retired = self.layout.commit(staged);
        if !retired.is_empty() {
            self.retired.push((Instant::now(), retired));
        }
        Ok(())
    }

    /// Finds room for other routes of a workload. Where there is enough, but not in one piece, the map is made larger.
    fn stage(&mut self, id: WorkloadId, edits: &[Edit], applied: &mut Applied) -> Result<Staged> {
        loop {
            let staged = match self.layout.stage(id, edits, Counting::Required) {
                // Counting is no reason to leave a route out.
                Err(OverLimit { map: LimitedMap::Outcomes, .. }) => {
                    self.layout.stage(id, edits, Counting::AsFarAsItGoes)
                }
                staged => staged,
            };
            let over = match staged {
                Ok(staged) => return Ok(staged),
                Err(over) => over,
            };
            let limits = self.layout.limits();
            let larger = limits.in_one_piece(&over, self.memory);
            if !over.is_scattered() || !self.grows || larger == limits {
                return Err(over.into());
            }
            self.grow(larger).context("cannot make the maps larger")?;
            applied.grown = true;
        }
    }

    fn attach(&mut self, cgroup: CgroupId, path: &Path, applied: &mut Applied) -> Result<()> {
        let workload = self.workloads.get_mut(&cgroup).context("it has no routes yet")?;
        let not_attached = || format!("the cgroup {} is not attached", path.display());
        let opened = match Cgroup::open(path) {
            Ok(opened) if opened.id() == cgroup => opened,
            // It has gone, or another has its place: that is news to come.
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(not_attached),
        };
        let was_behind = self.datapath.is_behind();
        let is_late = !workload.inherited && opened.has_processes();
        match self.datapath.attach(&opened, workload.id) {
            Ok(()) => {
                if was_behind {
                    // Its programs of before may still be counting.
                    self.grown = Some(Instant::now());
                }
                workload.attached = true;
                workload.inherited = false;
                workload.late |= is_late;
                self.linked.remove(&cgroup);
                applied.attached.push(cgroup);
                Ok(())
            }
            Err(_) if opened.is_gone() => Ok(()),
            Err(error) => {
                // Half of it is worse than nothing. What an earlier daemon has attached goes on, on the other hand.
                let detached =
                    if workload.inherited { Ok(()) } else { self.datapath.detach(cgroup, workload.id) };
                let error = match detached {
                    Ok(()) => error,
                    Err(left) => error.context(format!("traces are left of it: {left:#}")),
                };
                Err(error).with_context(not_attached)
            }
        }
    }

    /// Detaches what an earlier daemon has left in a wrong place.
    pub(super) fn detach_broken(&self) -> Result<()> {
        self.datapath.detach_broken(&self.workloads.keys().copied().collect())
    }

    /// Sees to it that all is pinned. Workloads whose programs are gone are attached with the next steps.
    pub(super) fn keep_pinned(&mut self) -> Result<Missing> {
        let missing = self.datapath.keep_pinned()?;
        for cgroup in &missing.lost {
            if let Some(workload) = self.workloads.get_mut(cgroup) {
                workload.attached = false;
                // What is left of them goes on if that fails.
                workload.inherited = true;
            }
        }
        Ok(missing)
    }

    fn detach(&mut self, cgroup: CgroupId) -> Result<()> {
        let Some(workload) = self.workloads.get_mut(&cgroup) else { return Ok(()) };
        workload.attached = false;
        let at = || format!("cannot detach from the cgroup {}", workload.path.display());
        self.datapath.detach(cgroup, workload.id).with_context(at)?;
        info!(cgroup = %workload.path.display(), "forgotten");
        Ok(())
    }

    fn forget(&mut self, cgroup: CgroupId, applied: &mut Applied) -> Result<()> {
        let Some(workload) = self.workloads.get(&cgroup) else { return Ok(()) };
        let id = workload.id;
        let changed = self.remove_routes(id)?;
        applied.changed.extend(changed);
        self.datapath.dismiss(id)?;
        self.workloads.remove(&cgroup);
        self.freed.push((Instant::now(), id));
        applied.forgotten.push(cgroup);
        Ok(())
    }

    fn remove_routes(&mut self, id: WorkloadId) -> Result<Vec<Changed>> {
        let gone = self.layout.dialled(id).map(|&dialled| Edit { dialled, table: None });
        let edits: Vec<Edit> = gone.collect();
        let mut applied = Applied::default();
        self.put(id, &edits, &mut applied)?;
        self.datapath.forget(id);
        Ok(applied.changed)
    }

    fn numbers(&self) -> BTreeSet<u32> {
        self.workloads.values().map(|workload| workload.id.get()).collect()
    }

    /// The workload with this number, and its cgroup.
    pub(super) fn workload(&self, number: u32) -> Option<(CgroupId, &Workload)> {
        let found = self.workloads.iter().find(|(_, workload)| workload.id.get() == number);
        found.map(|(&cgroup, workload)| (cgroup, workload))
    }

    /// What has come of a backendRef of a route; `None` if it is not counted.
    pub(super) fn counted(&self, key: &RouteKey, name: &RefName) -> Result<Option<Outcomes>> {
        self.layout.counted_at(key, name).map(|at| self.datapath.outcomes(at)).transpose()
    }

    /// What the maps have for a route.
    pub(super) fn has_endpoint(&self, key: &RouteKey, name: &RefName, endpoint: &SocketAddress) -> bool {
        let workload = self.workload(key.workload);
        let routes = workload.and_then(|(_, workload)| workload.routes.as_ref());
        let route = routes.and_then(|routes| routes.routes.at(key.dialled.into()));
        route.is_some_and(|route| {
            let names = RefName::of(&route.destination);
            let mut named = names.iter().zip(&route.destination.backends).filter(|(it, _)| *it == name);
            named.any(|(_, backend)| backend.endpoints.iter().any(|&it| SocketAddress::from(it) == *endpoint))
        })
    }

    /// The endpoints of some backendRefs of a route, also of those that are out. None of a route that is not in force.
    pub(super) fn endpoints(
        &self,
        key: &RouteKey,
        wanted: &FxHashSet<&RefName>,
    ) -> FxHashMap<RefName, FxHashSet<SocketAddress>> {
        let workload = self.workload(key.workload);
        let routes = workload.and_then(|(_, workload)| workload.routes.as_ref());
        let Some(route) = routes.and_then(|routes| routes.routes.at(key.dialled.into())) else {
            return FxHashMap::default();
        };
        let named = RefName::of(&route.destination).into_iter().zip(&route.destination.backends);
        let wanted = named.filter(|(name, _)| wanted.contains(name));
        wanted
            .map(|(name, backend)| (name, backend.endpoints.iter().map(|&it| it.into()).collect()))
            .collect()
    }

    /// What all maps take, and what they may.
    pub(super) fn memory(&self) -> (u64, u64) {
        (self.memory.of(&self.layout.limits()), self.memory.most)
    }
}

/// What is taken in the maps, and what these steps want beside it at most. `id` tells the number of a workload that is
/// there.
pub(super) fn demand(
    layout: &Layout,
    steps: &[Steps],
    id: impl Fn(&CgroupId) -> Option<WorkloadId>,
) -> Demand {
    let edits = steps.iter().flat_map(|Steps { cgroup, steps, .. }| {
        let id = id(cgroup);
        let routings = steps.iter().filter_map(|step| match step {
            Step::Route(routing) => Some(routing),
            _ => None,
        });
        routings.flat_map(move |routing| routing.edits.iter().map(move |edit| (id, edit)))
    });
    layout.demand(edits)
}

impl Failed {
    /// As it is told.
    pub(super) fn text(&self, workloads: &BTreeMap<CgroupId, Workload>, most: u64) -> String {
        let path = self.cgroup.and_then(|cgroup| workloads.get(&cgroup)).map(|workload| &workload.path);
        let of = path.map_or_else(String::new, |path| format!(" of the cgroup {}", path.display()));
        match self.at {
            FailedAt::Room => format!(
                "the routes{of} do not fit: {:#}, and all maps may take {} MiB (--max-map-memory)",
                self.error,
                most >> 20
            ),
            FailedAt::Routing if path.is_some() => format!("the routes{of} stay as before: {:#}", self.error),
            FailedAt::Routing | FailedAt::Attaching | FailedAt::Detaching => format!("{:#}", self.error),
        }
    }
}
