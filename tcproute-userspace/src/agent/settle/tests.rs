//! Whatever fails on the way, each workload has the routes before or the new ones.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::{
    plan::{Counting, Limits, Selection, WorkloadIds},
    policy::Compat,
    resources::{BackendTarget, MeshName, ServiceRef},
    routing::{Destination, ResolvedBackend},
};

const LIMITS: Limits =
    Limits { routes: 1000, backends: 4000, endpoints: 4000, outcomes: 4000, turns: 1, cursors: 1 };

/// A node without a kernel: steps are taken at once, or fail.
struct Node {
    workloads: BTreeMap<CgroupId, Workload>,
    layout: Layout,
    tables: RouteTables,
    ids: WorkloadIds,
}

type Routes = BTreeMap<SocketAddress, Arc<RouteTable>>;

impl Node {
    fn new() -> Self {
        Self {
            workloads: BTreeMap::new(),
            layout: Layout::new(LIMITS),
            tables: RouteTables::new(Selection::Random),
            ids: WorkloadIds::default(),
        }
    }

    fn steps(&mut self, wanted: &Wanted) -> Vec<Steps> {
        settle(wanted, &self.workloads, &self.layout, &mut self.tables)
    }

    fn take(&mut self, Steps { cgroup, path, .. }: &Steps, step: Step) {
        match step {
            Step::Detach => self.workloads.get_mut(cgroup).unwrap().attached = false,
            Step::Forget => {
                let id = self.workloads[cgroup].id;
                let gone = self.layout.dialled(id).map(|&dialled| Edit { dialled, table: None });
                let gone: Vec<Edit> = gone.collect();
                self.put(id, &gone);
                self.workloads.remove(cgroup);
                self.ids.give_back(id);
            }
            Step::Route(Routing { edits, routes, out, beyond }) => {
                let ids = &mut self.ids;
                let workload = self.workloads.entry(*cgroup).or_insert_with(|| Workload {
                    path: path.clone(),
                    id: ids.take(),
                    routes: None,
                    out: BTreeMap::new(),
                    beyond: 0,
                    attached: false,
                    inherited: false,
                    late: false,
                });
                (workload.routes, workload.out, workload.beyond) = (Some(routes), out, beyond);
                let id = workload.id;
                self.put(id, &edits);
            }
            Step::Attach => self.workloads.get_mut(cgroup).unwrap().attached = true,
        }
    }

    fn put(&mut self, id: WorkloadId, edits: &[Edit]) {
        let staged = self.layout.stage(id, edits, Counting::AsFarAsItGoes).unwrap();
        let retired = self.layout.commit(staged);
        self.layout.reuse(&retired);
    }

    fn routes(&self, cgroup: CgroupId) -> Routes {
        let Some(workload) = self.workloads.get(&cgroup) else { return Routes::new() };
        let dialled = self.layout.dialled(workload.id);
        dialled.map(|it| (*it, Arc::clone(self.layout.table(workload.id, it).unwrap()))).collect()
    }

    /// What a workload shall have, by looking at each route.
    fn wanted(&self, wanted: &Wanted, cgroup: CgroupId) -> Routes {
        if wanted.kept.contains(&cgroup) {
            return self.routes(cgroup);
        }
        let Some(workload) = wanted.workloads.get(&cgroup) else { return Routes::new() };
        let id = self.workloads.get(&cgroup).map_or(0, |workload| workload.id.get());
        let (mut routes, mut room) = (Routes::new(), Room::default());
        for route in workload.routes.routes.iter() {
            if route.destination.action == Action::Passthrough {
                continue;
            }
            let mut table = RouteTable::new(&route.destination, Selection::Random);
            room += table.room();
            if !wanted.quota.has(room) {
                continue;
            }
            let dialled = SocketAddress::from(route.dialled);
            if let Some(out) = wanted.out.get(&RouteKey { dialled, workload: id }) {
                table = table.without(out);
            }
            routes.insert(dialled, table.into());
        }
        routes
    }
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A destination: whether it is routed, and backendRefs with a weight and ports of endpoints.
type Shape = (bool, Vec<(u32, Vec<u16>)>);

fn destination(service: u16, (routed, backends): &Shape) -> Arc<Destination> {
    let backend = |(weight, ports): &(u32, Vec<u16>)| ResolvedBackend {
        target: BackendTarget { service: ServiceRef::tagged("db".parse().unwrap()), subset: None },
        weight: (*weight).into(),
        share: 0.0,
        endpoints: ports.iter().map(|&port| address(port)).collect(),
    };
    Arc::new(Destination {
        service: format!("service-{service}").into(),
        protocol: "tcp".to_owned(),
        action: if *routed { Action::Route } else { Action::Passthrough },
        reason: String::new(),
        remedy: None,
        policies: Vec::new(),
        backends: backends.iter().map(backend).collect(),
        bypass: None,
        names: Vec::new(),
        warnings: Vec::new(),
        denied: Vec::new(),
    })
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let backends = proptest::collection::vec((0_u32..3, proptest::collection::vec(100_u16..104, 0..3)), 0..3);
    (proptest::bool::weighted(0.9), backends)
}

fn quota_of(routes: usize) -> Room {
    Room { routes, endpoints: 2 * routes }
}

/// Of each workload that is there which destination each of its addresses leads to. Both are shared by workloads.
fn any_wanted() -> impl Strategy<Value = Wanted> {
    let destinations = proptest::collection::vec(any_shape(), 4);
    let dials = proptest::collection::btree_map(1_u16..5, 0_usize..4, 0..5);
    let workloads = proptest::collection::btree_map(1_u64..5, (dials, any::<bool>()), 0..5);
    let out = proptest::collection::vec((1_u32..5, 1_u16..5, 0_u32..2, 100_u16..104), 0..4);
    let kept = proptest::collection::btree_set((1_u64..5).prop_map(CgroupId::new), 0..3);
    (destinations, workloads, kept, out, 3_usize..12).prop_map(|(shapes, workloads, mut kept, out, quota)| {
        let destinations: Vec<_> =
            (0..).zip(&shapes).map(|(service, shape)| destination(service, shape)).collect();
        let routes = |dials: BTreeMap<u16, usize>| {
            let route = |(port, which): (u16, usize)| ResolvedRoute {
                dialled: address(port),
                destination: Arc::clone(&destinations[which]),
            };
            Arc::new(DataplaneRoutes {
                mesh: MeshName::default(),
                dataplane: "web".to_owned(),
                compat: Compat::default(),
                routes: dials.into_iter().map(route).collect(),
                conflicts: Vec::new(),
                denied: Vec::new(),
                other_policies: [].into(),
            })
        };
        let shared = routes(BTreeMap::from([(1, 0), (2, 1)]));
        let workload = |(number, (dials, shares)): (u64, (_, bool))| {
            let routes = if shares { Arc::clone(&shared) } else { routes(dials) };
            (CgroupId::new(number), WantedWorkload { path: format!("/{number}").into(), routes })
        };
        let mut all_out = BTreeMap::<RouteKey, Out>::new();
        for (workload, dialled, nth, endpoint) in out {
            let key = RouteKey { dialled: address(dialled).into(), workload };
            let name = RefName { target: "MeshService db".to_owned(), nth };
            all_out.entry(key).or_default().insert((name, address(endpoint).into()));
        }
        let workloads: BTreeMap<_, _> = workloads.into_iter().map(workload).collect();
        kept.retain(|cgroup| !workloads.contains_key(cgroup));
        Wanted { workloads, kept, out: all_out, quota: quota_of(quota) }
    })
}

#[test]
fn a_workload_is_routed_before_it_is_attached_and_detached_before_its_routes_go() {
    let mut node = Node::new();
    let routes = DataplaneRoutes {
        mesh: MeshName::default(),
        dataplane: "web".to_owned(),
        compat: Compat::default(),
        routes: [ResolvedRoute { dialled: address(1), destination: destination(1, &(true, vec![])) }]
            .into_iter()
            .collect(),
        conflicts: Vec::new(),
        denied: Vec::new(),
        other_policies: [].into(),
    };
    let workload = WantedWorkload { path: "/a".into(), routes: routes.into() };
    let wanted = Wanted {
        workloads: BTreeMap::from([(CgroupId::new(1), workload)]),
        quota: quota_of(10),
        ..Wanted::default()
    };
    let [steps] = &mut node.steps(&wanted)[..] else { panic!("there is one workload") };
    assert!(matches!(steps.steps[..], [Step::Route(_), Step::Attach]));
    for step in std::mem::take(&mut steps.steps) {
        node.take(steps, step);
    }
    assert!(node.steps(&wanted).is_empty());
    let [steps] = &node.steps(&Wanted::default())[..] else { panic!("there is one workload") };
    assert!(matches!(steps.steps[..], [Step::Detach, Step::Forget]));
}

proptest! {
    /// From any state, through any prefix of the steps and with failures at any of them.
    #[test]
    fn each_workload_has_its_old_or_its_new_routes_and_others_go_on(
        stages in proptest::collection::vec((any_wanted(), any::<u64>(), 0_usize..20), 1..6),
    ) {
        let mut node = Node::new();
        for (wanted, failing, prefix) in stages {
            let cgroups = (1..5).map(CgroupId::new);
            let old: BTreeMap<CgroupId, Routes> = cgroups.clone().map(|it| (it, node.routes(it))).collect();
            // A number that is given on the way may have endpoints that are out: they are found the next time.
            let new: BTreeMap<CgroupId, Routes> =
                cgroups.clone().map(|it| (it, node.wanted(&wanted, it))).collect();
            let mut complete: BTreeSet<CgroupId> = cgroups.clone().collect();
            let (mut taken, mut nth) = (0, 0);
            for mut steps in node.steps(&wanted) {
                for step in std::mem::take(&mut steps.steps) {
                    let fails = failing >> (nth % 64) & 1 == 1 && nth % 3 == 0;
                    nth += 1;
                    if fails || taken == prefix {
                        complete.remove(&steps.cgroup);
                        break;
                    }
                    taken += 1;
                    node.take(&steps, step);
                    let now = node.routes(steps.cgroup);
                    prop_assert!(now == old[&steps.cgroup] || now == new[&steps.cgroup]);
                }
            }
            for cgroup in cgroups.clone() {
                let now = node.routes(cgroup);
                prop_assert!(now == new[&cgroup] || !complete.contains(&cgroup) && now == old[&cgroup]);
                if complete.contains(&cgroup) && !wanted.kept.contains(&cgroup) {
                    let attached = node.workloads.get(&cgroup).is_some_and(|workload| workload.attached);
                    prop_assert_eq!(attached, wanted.workloads.contains_key(&cgroup));
                }
            }
            // What is left is found again.
            for _ in 0..2 {
                for mut steps in node.steps(&wanted) {
                    for step in std::mem::take(&mut steps.steps) {
                        node.take(&steps, step);
                    }
                }
            }
            for cgroup in cgroups {
                prop_assert_eq!(node.routes(cgroup), node.wanted(&wanted, cgroup));
            }
            prop_assert!(node.steps(&wanted).is_empty());
        }
    }
}
