//! From what is in force to what is wanted: the steps, each workload's for itself. Pure.
//!
//! A step that fails ends the steps of its workload and of no other; whatever was done by then, each route of a
//! workload is the one before or the one that is wanted. What is left is found again the next time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use tcproute_common::{RouteKey, SocketAddress};

use crate::{
    plan::{Edit, Layout, RefName, Room, RouteTable, RouteTables, WorkloadId},
    routing::{Action, DataplaneRoutes, ResolvedRoute},
    workloads::cgroups::CgroupId,
};

/// What the node shall do.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) workloads: BTreeMap<CgroupId, WantedWorkload>,
    /// Workloads of which is not known yet what they shall have: they keep what they have.
    pub(super) kept: BTreeSet<CgroupId>,
    /// Endpoints that are out.
    pub(super) out: BTreeMap<RouteKey, Out>,
    /// What one workload may take.
    pub(super) quota: Room,
}

/// Endpoints that are out, of backendRefs of one route.
pub(super) type Out = BTreeSet<(RefName, SocketAddress)>;

/// A workload that shall be.
#[derive(Debug, Clone)]
pub(super) struct WantedWorkload {
    pub(super) path: PathBuf,
    pub(super) routes: Arc<DataplaneRoutes>,
}

/// A workload that is.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    pub(super) path: PathBuf,
    pub(super) id: WorkloadId,
    /// What its routes in the maps were made from; `None` if an earlier daemon has made them.
    pub(super) routes: Option<Arc<DataplaneRoutes>>,
    /// The endpoints that are out of them.
    pub(super) out: BTreeMap<SocketAddress, Out>,
    /// How many of its routes are left to the proxy, since it may take no more.
    pub(super) beyond: usize,
    /// Whether the programs are attached.
    pub(super) attached: bool,
    /// Whether programs of an earlier daemon run there, which go on until they are replaced.
    pub(super) inherited: bool,
    /// Whether processes were there before the programs: what they dialled until then went where it was dialled.
    pub(super) late: bool,
}

/// What is done for one workload.
#[derive(Debug)]
pub(super) enum Step {
    /// No program runs there any more.
    Detach,
    /// Its routes leave the maps, and it is forgotten.
    Forget,
    /// Its routes become others, all of them or none.
    Route(Routing),
    /// The programs run there.
    Attach,
}

/// Other routes of a workload.
#[derive(Debug)]
pub(super) struct Routing {
    pub(super) edits: Vec<Edit>,
    pub(super) routes: Arc<DataplaneRoutes>,
    pub(super) out: BTreeMap<SocketAddress, Out>,
    pub(super) beyond: usize,
}

/// Steps of the workload of a cgroup, in their order.
#[derive(Debug)]
pub(super) struct Steps {
    pub(super) cgroup: CgroupId,
    pub(super) path: PathBuf,
    pub(super) steps: Vec<Step>,
}

/// What leads from one to the other. What goes comes first.
pub(super) fn settle(
    wanted: &Wanted,
    workloads: &BTreeMap<CgroupId, Workload>,
    layout: &Layout,
    tables: &mut RouteTables,
) -> Vec<Steps> {
    let stays = |cgroup| wanted.workloads.contains_key(cgroup) || wanted.kept.contains(cgroup);
    let gone = workloads.iter().filter(|(cgroup, _)| !stays(cgroup));
    let gone = gone.map(|(&cgroup, workload)| Steps {
        cgroup,
        path: workload.path.clone(),
        steps: vec![Step::Detach, Step::Forget],
    });
    let mut all: Vec<Steps> = gone.collect();
    let mut out = BTreeMap::<u32, BTreeMap<SocketAddress, Out>>::new();
    for (RouteKey { workload, dialled }, of_route) in &wanted.out {
        out.entry(*workload).or_default().insert(*dialled, of_route.clone());
    }
    for (&cgroup, WantedWorkload { path, routes }) in &wanted.workloads {
        let before = workloads.get(&cgroup);
        let out = before.and_then(|workload| out.remove(&workload.id.get())).unwrap_or_default();
        let mut routing = WorkloadRouting { routes, before, layout, out: &out, quota: wanted.quota, tables };
        let mut steps: Vec<Step> = Vec::new();
        if let Some((edits, beyond)) = routing.edits() {
            steps.push(Step::Route(Routing { edits, routes: Arc::clone(routes), out, beyond }));
        }
        if !before.is_some_and(|workload| workload.attached) {
            steps.push(Step::Attach);
        }
        if !steps.is_empty() {
            all.push(Steps { cgroup, path: path.clone(), steps });
        }
    }
    all
}

/// The routes of one workload, as they are and as they shall be.
struct WorkloadRouting<'a> {
    routes: &'a Arc<DataplaneRoutes>,
    before: Option<&'a Workload>,
    layout: &'a Layout,
    out: &'a BTreeMap<SocketAddress, Out>,
    quota: Room,
    tables: &'a mut RouteTables,
}

impl WorkloadRouting<'_> {
    /// What has to become different in the maps, and how many routes are left to the proxy; `None` if the workload has
    /// what it shall have.
    fn edits(&mut self) -> Option<(Vec<Edit>, usize)> {
        let Some(workload) = self.before else { return Some(self.all()) };
        if self.is_same(workload) {
            return None;
        }
        let Some(before) = workload.routes.as_ref().filter(|_| workload.beyond == 0) else {
            return Some(self.all());
        };
        // What both share is not looked at.
        let mut changed = self.routes.routes.changed_since(&before.routes);
        let differs = |dialled: &&SocketAddress| workload.out.get(*dialled) != self.out.get(*dialled);
        for &dialled in self.out.keys().chain(workload.out.keys()).filter(differs) {
            let address = SocketAddr::from(dialled);
            changed.entry(address).or_insert_with(|| self.routes.routes.at(address));
        }
        let mut edits = Vec::new();
        let mut room = self.layout.room(workload.id);
        for (address, route) in changed {
            let dialled = SocketAddress::from(address);
            let table = route.and_then(|route| self.table(route));
            let old = self.layout.table(workload.id, &dialled);
            if table.as_ref() != old {
                room += table.as_ref().map(|table| table.room()).unwrap_or_default();
                room -= old.map(|table| table.room()).unwrap_or_default();
                edits.push(Edit { dialled, table });
            }
        }
        if self.quota.has(room) { Some((edits, 0)) } else { Some(self.all()) }
    }

    fn is_same(&self, workload: &Workload) -> bool {
        workload.routes.as_ref().is_some_and(|before| Arc::ptr_eq(before, self.routes))
            && workload.out == *self.out
    }

    /// By looking at every route.
    fn all(&mut self) -> (Vec<Edit>, usize) {
        let (layout, id) = (self.layout, self.before.map(|workload| workload.id));
        let routes = Arc::clone(self.routes);
        let mut wanted = BTreeSet::new();
        let (mut edits, mut room, mut beyond) = (Vec::new(), Room::default(), 0);
        for route in &routes.routes {
            let Some(table) = self.table(route) else { continue };
            room += table.room();
            if !self.quota.has(room) {
                beyond += 1;
                continue;
            }
            let dialled = SocketAddress::from(route.dialled);
            wanted.insert(dialled);
            if id.and_then(|id| layout.table(id, &dialled)) != Some(&table) {
                edits.push(Edit { dialled, table: Some(table) });
            }
        }
        let present = id.into_iter().flat_map(|id| layout.dialled(id)).copied();
        let gone = present.filter(|dialled| !wanted.contains(dialled));
        edits.extend(gone.map(|dialled| Edit { dialled, table: None }));
        (edits, beyond)
    }

    /// What the maps shall have for a route; `None` if it is left to the proxy.
    fn table(&mut self, route: &ResolvedRoute) -> Option<Arc<RouteTable>> {
        if route.destination.action != Action::Route {
            return None;
        }
        let table = self.tables.of(&route.destination);
        match self.out.get(&SocketAddress::from(route.dialled)) {
            Some(out) => Some(Arc::new(table.without(out))),
            None => Some(table),
        }
    }
}

#[cfg(test)]
mod tests;
