use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use proptest::prelude::*;
use tcproute_common::{Backend, BackendRef, RouteKey, RouteValue, SocketAddress};

use super::*;
use crate::plan::{
    change::{Change, RouteChange},
    limits::{LimitedMap, Memory, OverLimit},
    turns::order,
};

const LIMITS: Limits =
    Limits { routes: 64, backends: 512, endpoints: 512, outcomes: 64, turns: 512, cursors: 64 };

fn address(number: u16) -> SocketAddress {
    SocketAddr::from(([127, 0, 0, 1], number)).into()
}

fn key(number: u16) -> RouteKey {
    RouteKey { dialled: address(number), workload: 1 }
}

/// Some weight, that some changes change and others not.
fn weight(endpoints: &[u16]) -> u32 {
    endpoints.len() as u32 + 1
}

fn name(nth: usize) -> RefName {
    RefName { target: "db".to_owned(), nth: nth.try_into().unwrap() }
}

/// What the one workload dials, and where that leads.
type Table = BTreeMap<RouteKey, Arc<RouteTable>>;

fn table(routes: &BTreeMap<u16, Vec<Vec<u16>>>) -> Table {
    let route = |backends: &Vec<Vec<u16>>| RouteTable {
        backends: backends
            .iter()
            .enumerate()
            .map(|(nth, endpoints)| BackendTable {
                name: name(nth).into(),
                weight: weight(endpoints),
                threshold: u32::MAX,
                alias: 0,
                endpoints: endpoints.iter().map(|&port| address(port)).collect(),
            })
            .collect(),
        idle: [name(9).into()].into(),
        turns: (backends.len() > 1).then(|| backends.iter().map(|endpoints| weight(endpoints)).collect()),
    };
    routes.iter().map(|(&number, backends)| (key(number), Arc::new(route(backends)))).collect()
}

fn workload() -> WorkloadId {
    WorkloadId::new(1).unwrap()
}

/// What is to be done to get to this table.
fn edits(layout: &Layout, table: &Table) -> Vec<Edit> {
    let differs = |(key, wanted): &(&RouteKey, &Arc<RouteTable>)| {
        layout.table(workload(), &key.dialled) != Some(*wanted)
    };
    let edit = |(key, wanted): (&RouteKey, &Arc<RouteTable>)| Edit {
        dialled: key.dialled,
        table: Some(Arc::clone(wanted)),
    };
    let gone = layout
        .dialled(workload())
        .filter(|&&dialled| !table.contains_key(&RouteKey { dialled, workload: 1 }));
    let gone = gone.map(|&dialled| Edit { dialled, table: None });
    table.iter().filter(differs).map(edit).chain(gone).collect()
}

fn stage(layout: &mut Layout, table: &Table) -> Result<Staged, OverLimit> {
    let edits = edits(layout, table);
    layout.stage(workload(), &edits, Counting::AsFarAsItGoes)
}

/// The change to this table, as it was made.
fn plan(layout: &Layout, table: &Table) -> (Layout, Change, Retired) {
    let mut next = layout.clone();
    let mut staged = stage(&mut next, table).unwrap();
    let change = std::mem::take(&mut staged.change);
    let retired = next.commit(staged);
    (next, change, retired)
}

/// The maps, as the programs read them.
#[derive(Clone)]
struct Maps {
    routes: BTreeMap<RouteKey, RouteValue>,
    backends: Vec<Option<Backend>>,
    endpoints: Vec<Option<SocketAddress>>,
    turns: Vec<Option<u32>>,
    cursors: Vec<Option<u32>>,
    backend_refs: BTreeMap<u32, BackendRef>,
}

impl Maps {
    fn new() -> Self {
        Self {
            routes: BTreeMap::new(),
            backends: vec![None; 512],
            endpoints: vec![None; 512],
            turns: vec![None; 512],
            cursors: vec![None; 64],
            backend_refs: BTreeMap::new(),
        }
    }

    /// What a program would find: the endpoints of each backend of the route.
    fn read(&self, key: RouteKey) -> Option<Vec<Vec<SocketAddress>>> {
        self.routes.get(&key).map(|route| {
            (route.first_backend..route.first_backend + route.backend_count)
                .map(|index| {
                    let backend = self.backends[index as usize].expect("a route leads to written backends");
                    (backend.first_endpoint..backend.first_endpoint + backend.endpoint_count)
                        .map(|index| {
                            self.endpoints[index as usize].expect("a backend leads to written endpoints")
                        })
                        .collect()
                })
                .collect()
        })
    }

    /// What a daemon that starts finds.
    fn contents(&self) -> Contents {
        fn written<T: Copy>(entries: &[Option<T>]) -> FxHashMap<u32, T> {
            (0..).zip(entries).filter_map(|(index, entry)| Some((index, (*entry)?))).collect()
        }
        Contents {
            routes: self.routes.clone(),
            backends: written(&self.backends),
            endpoints: written(&self.endpoints),
            turns: written(&self.turns),
            backend_refs: self.backend_refs.clone(),
        }
    }

    /// The turns that a program would find, and where the route stands.
    fn read_turns(&self, key: RouteKey) -> Option<(Vec<u32>, u32)> {
        let route = self.routes.get(&key).filter(|route| route.turn_count > 0)?;
        let turns = (route.first_turn..route.first_turn + route.turn_count)
            .map(|index| self.turns[index as usize].expect("a route leads to written turns"));
        let cursor = self.cursors[route.cursor as usize].expect("a route leads to a written cursor");
        assert!(cursor < route.turn_count);
        Some((turns.collect(), cursor))
    }

    /// A connection takes its turn.
    fn connect(&mut self, key: RouteKey) {
        let Some((turns, cursor)) = self.read_turns(key) else { return };
        let route = self.routes[&key];
        self.cursors[route.cursor as usize] = Some((cursor + 1) % turns.len() as u32);
    }

    /// Applies the change write by write, and after each one calls `look`.
    fn apply(&mut self, change: &Change, mut look: impl FnMut(&Self)) {
        for (first, entries) in &change.endpoints {
            for (offset, entry) in entries.iter().enumerate() {
                self.endpoints[*first as usize + offset] = Some(*entry);
                look(self);
            }
        }
        for (first, entries) in &change.backends {
            for (offset, entry) in entries.iter().enumerate() {
                self.backends[*first as usize + offset] = Some(*entry);
                look(self);
            }
        }
        for (first, entries) in &change.turns {
            for (offset, entry) in entries.iter().enumerate() {
                self.turns[*first as usize + offset] = Some(*entry);
                look(self);
            }
        }
        self.backend_refs.extend(change.backend_refs.iter().copied());
        for &cursor in &change.cursors {
            self.cursors[cursor as usize] = Some(0);
            look(self);
        }
        for RouteChange { key, old, new } in &change.routes {
            assert_eq!(self.routes.get(key), old.as_ref());
            match new {
                Some(value) => self.routes.insert(*key, *value),
                None => self.routes.remove(key),
            };
            look(self);
        }
    }
}

/// As the next daemon knows it: it cannot tell backendRefs that have left from those that have no weight.
fn as_found(layout: &Layout) -> Layout {
    let mut found = layout.clone();
    for placed in found.routes.get_mut(&workload()).into_iter().flat_map(|routes| routes.placed.iter_mut()) {
        let (dialled, placed) = placed;
        let is_idle =
            |name: &&Arc<RefName>| placed.table.backends.iter().all(|backend| backend.name != **name);
        let idle =
            layout.counted.of_route(&super::key(workload(), *dialled)).filter(is_idle).cloned().collect();
        let RouteTable { backends, turns, .. } = &*placed.table;
        placed.table = Arc::new(RouteTable { backends: backends.clone(), idle, turns: turns.clone() });
    }
    for of in found.routes.values_mut() {
        of.room = Room::default();
        of.placed.values().for_each(|placed| of.room += placed.table.room());
    }
    let routes: Vec<RouteKey> =
        layout.dialled(workload()).map(|&dialled| super::key(workload(), dialled)).collect();
    found.departed.retain(|departed| !routes.contains(&departed.key));
    found
}

fn wanted(table: &Table, key: RouteKey) -> Option<Vec<Vec<SocketAddress>>> {
    let route = table.get(&key)?;
    Some(route.backends.iter().map(|backend| backend.endpoints.to_vec()).collect())
}

fn wanted_turns(table: &Table, key: RouteKey) -> Option<Vec<u32>> {
    table.get(&key)?.turns.as_deref().map(order)
}

#[test]
fn other_weights_begin_a_round_and_other_endpoints_do_not() {
    let to = |layout: &Layout, backends: [Vec<u16>; 2]| {
        plan(layout, &table(&BTreeMap::from([(1, backends.into())])))
    };
    let mut maps = Maps::new();
    let (layout, first, _) = to(&Layout::new(LIMITS), [vec![10], vec![]]);
    maps.apply(&first, |_| {});
    assert_eq!(maps.read_turns(key(1)), Some((vec![0, 0, 1], 0)));
    maps.connect(key(1));
    let (layout, second, retired) = to(&layout, [vec![11], vec![]]);
    maps.apply(&second, |_| {});
    assert_eq!(maps.read_turns(key(1)), Some((vec![0, 0, 1], 1)));
    assert_eq!((retired.turns.len(), retired.cursors.len()), (0, 0));
    let (_, third, retired) = to(&layout, [vec![11, 12], vec![]]);
    maps.apply(&third, |_| {});
    assert_eq!(maps.read_turns(key(1)).map(|(_, cursor)| cursor), Some(0));
    assert_eq!((retired.turns.len(), retired.cursors.len()), (1, 1));
}

#[test]
fn routes_with_the_same_weights_share_the_turns_and_not_the_cursor() {
    let same = vec![vec![10], vec![11]];
    let (_, change, _) = plan(&Layout::new(LIMITS), &table(&BTreeMap::from([(1, same.clone()), (2, same)])));
    assert_eq!((change.turns.len(), change.cursors.len()), (1, 2));
}

#[test]
fn backends_with_the_same_endpoints_share_a_run() {
    let wanted = table(&BTreeMap::from([(1, vec![vec![10, 11]]), (2, vec![vec![10, 11]])]));
    let (_, change, _) = plan(&Layout::new(LIMITS), &wanted);
    assert_eq!(change.endpoints.len(), 1);
}

#[test]
fn what_does_not_fit_names_the_limit_and_takes_nothing() {
    let small = Limits { routes: 1, backends: 2, endpoints: 3, outcomes: 1, ..LIMITS };
    let error = |routes: &[(u16, Vec<Vec<u16>>)]| {
        let mut layout = Layout::new(small);
        let error = stage(&mut layout, &table(&routes.iter().cloned().collect())).unwrap_err();
        assert_eq!(layout, Layout::new(small));
        error
    };
    let over = |map, taken, wanted, limit| OverLimit { map, wanted, taken, limit };
    assert_eq!(error(&[(1, vec![]), (2, vec![])]), over(LimitedMap::Routes, 1, 1, 1));
    assert_eq!(error(&[(1, vec![vec![1], vec![1], vec![1]])]), over(LimitedMap::Backends, 0, 3, 2));
    assert_eq!(error(&[(1, vec![vec![1, 2, 3, 4]])]), over(LimitedMap::Endpoints, 0, 4, 3));
}

#[test]
fn with_the_demand_of_a_change_it_fits() {
    let wanted = table(&BTreeMap::from([(1, vec![vec![1, 2], vec![3]]), (2, vec![vec![1, 2, 3, 4, 5]])]));
    let small = Limits { routes: 1, backends: 1, endpoints: 1, outcomes: 1, turns: 1, cursors: 1 };
    let mut layout = Layout::new(small);
    let edits = edits(&layout, &wanted);
    let demand = layout.demand(edits.iter().map(|edit| (Some(workload()), edit)));
    let grown = small.grown_for(&demand, Memory { most: 1 << 30, cpus: 2 });
    layout.grow(grown);
    assert!(layout.stage(workload(), &edits, Counting::Required).is_ok());
}

#[test]
fn what_fills_new_maps_is_what_the_old_ones_have() {
    let first =
        table(&BTreeMap::from([(1, vec![vec![10, 11], vec![12]]), (2, vec![]), (3, vec![vec![10, 11]])]));
    let second = table(&BTreeMap::from([(1, vec![vec![10], vec![12]]), (3, vec![vec![10, 11]])]));
    let mut maps = Maps::new();
    let (layout, change, _) = plan(&Layout::new(LIMITS), &first);
    maps.apply(&change, |_| {});
    let (mut layout, change, retired) = plan(&layout, &second);
    layout.reuse(&retired);
    maps.apply(&change, |_| {});
    let mut other = Maps::new();
    layout.cursors().for_each(|cursor| other.cursors[cursor as usize] = maps.cursors[cursor as usize]);
    layout.fill().for_each(|change| other.apply(&change, |_| {}));
    for number in 1..4 {
        assert_eq!(other.read(key(number)), maps.read(key(number)));
        assert_eq!(other.read_turns(key(number)), maps.read_turns(key(number)));
    }
    assert_eq!(Layout::adopt(LIMITS, &other.contents()).unwrap(), as_found(&layout));
}

#[test]
fn maps_that_contradict_themselves_are_not_adopted() {
    let wanted = table(&BTreeMap::from([(1, vec![vec![10, 11]]), (2, vec![vec![12]])]));
    let (_, change, _) = plan(&Layout::new(LIMITS), &wanted);
    let mut maps = Maps::new();
    maps.apply(&change, |_| ());
    let good = maps.contents();
    assert!(Layout::adopt(LIMITS, &good).is_ok());

    let mut bad = good.clone();
    bad.backends.clear();
    assert_eq!(Layout::adopt(LIMITS, &bad), Err(Inconsistent("a route leads to no backend")));
    let mut bad = good.clone();
    bad.endpoints.clear();
    assert_eq!(Layout::adopt(LIMITS, &bad), Err(Inconsistent("a backend leads to no endpoint")));
    let mut bad = good.clone();
    let [one, _] = [key(1), key(2)].map(|key| bad.routes[&key]);
    bad.routes.insert(key(2), one);
    assert_eq!(Layout::adopt(LIMITS, &bad), Err(Inconsistent("two routes have the same backend")));
    let refused = |spoil: &dyn Fn(&mut Contents)| {
        let mut bad = good.clone();
        spoil(&mut bad);
        Layout::adopt(LIMITS, &bad).unwrap_err()
    };
    let of_one = |change: &dyn Fn(&mut RouteValue)| {
        refused(&|bad| bad.routes.get_mut(&key(1)).into_iter().for_each(change))
    };
    assert_eq!(
        of_one(&|route| route.first_backend = u32::MAX),
        Inconsistent("two routes have the same backend")
    );
    assert_eq!(
        of_one(&|route| route.backend_count = u32::MAX >> 1),
        Inconsistent("two routes have the same backend")
    );
    assert_eq!(of_one(&|route| route.turn_count = 1 << 28), Inconsistent("a route leads to no turn"));
    let of_backends =
        |change: &dyn Fn(&mut Backend)| refused(&|bad| bad.backends.values_mut().for_each(change));
    assert_eq!(of_backends(&|backend| backend.alias = 9), Inconsistent("an alias leads to no backend"));
    assert_eq!(
        of_backends(&|backend| backend.endpoint_count = u32::MAX),
        Inconsistent("a backend leads to no endpoint")
    );
    assert_eq!(of_backends(&|backend| backend.outcomes = 255), Inconsistent("a backend counts for nobody"));
    assert_eq!(
        refused(&|bad| bad.endpoints.values_mut().for_each(|endpoint| endpoint.port = u32::MAX)),
        Inconsistent("an address has no such port")
    );
    assert_eq!(
        refused(&|bad| {
            let (_, backend_ref) = bad.backend_refs.pop_first().unwrap();
            bad.backend_refs.insert(u32::MAX, backend_ref);
        }),
        Inconsistent("two backendRefs have the same counts")
    );
    let mut bad = good;
    bad.endpoints.insert(1, address(12));
    let small = Limits { endpoints: 1, ..LIMITS };
    assert_eq!(Layout::adopt(small, &bad), Err(Inconsistent("two runs of endpoints overlap")));
}

#[test]
fn a_backend_ref_keeps_its_counts_until_it_has_left_and_is_drained() {
    let both = table(&BTreeMap::from([(1, vec![vec![10], vec![11]])]));
    let (layout, first, _) = plan(&Layout::new(LIMITS), &both);
    let all = |change: &Change| change.backends[0].1.iter().map(|entry| entry.outcomes).collect::<Vec<_>>();
    assert_eq!(all(&first), [1, 2]);
    assert_eq!(layout.counted_at(&key(1), &name(9)), Some(3), "also without a weight");
    // Another order, other endpoints.
    let moved = table(&BTreeMap::from([(1, vec![vec![12], vec![]])]));
    let mut backends = moved[&key(1)].backends.to_vec();
    backends.reverse();
    let RouteTable { idle, turns, .. } = &*moved[&key(1)];
    let moved = RouteTable { backends: backends.into(), idle: idle.clone(), turns: turns.clone() };
    let (layout, second, _) = plan(&layout, &BTreeMap::from([(key(1), moved.into())]));
    assert_eq!(all(&second), [2, 1]);
    let (layout, ..) = plan(&layout, &table(&BTreeMap::from([(1, vec![vec![12]])])));
    let departed = Departed { key: key(1), name: name(1).into() };
    assert_eq!((layout.departed(), layout.counted_at(&key(1), &name(1))), (&[departed].into(), Some(2)));
    let (back, third, _) = plan(&layout, &both);
    assert_eq!((all(&third), back.departed().len()), (vec![1, 2], 0));
    let (mut layout, ..) = plan(&layout, &Table::default());
    let departed = layout.departed().clone();
    assert_eq!(departed.len(), 3);
    for departed in &departed {
        layout.give_back(departed);
    }
    assert!(layout.departed().is_empty());
    let (_, fourth, _) = plan(&layout, &table(&BTreeMap::from([(2, vec![vec![10]])])));
    assert_eq!(all(&fourth), [1]);
}

#[test]
fn without_room_to_count_routes_are_routes_all_the_same() {
    let few = Limits { outcomes: 2, ..LIMITS };
    let both = table(&BTreeMap::from([(1, vec![vec![1], vec![2]])]));
    let (layout, change, _) = plan(&Layout::new(few), &both);
    assert_eq!(change.backends[0].1.iter().map(|entry| entry.outcomes).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(layout.counted_at(&key(1), &name(1)), None);
    let mut strict = Layout::new(few);
    let edits = edits(&strict, &both);
    let over = strict.stage(workload(), &edits, Counting::Required).unwrap_err();
    assert_eq!(over.map, LimitedMap::Outcomes);
}

fn any_routes() -> impl Strategy<Value = BTreeMap<u16, Vec<Vec<u16>>>> {
    let endpoints = proptest::collection::vec(100_u16..110, 0..4);
    let backends = proptest::collection::vec(endpoints, 0..4);
    proptest::collection::btree_map(0_u16..6, backends, 0..6)
}

proptest! {
    /// Before each write a program sees, for every route, either what was in force or what is to be; and
    /// runs are reused only after they were given back.
    #[test]
    fn every_step_of_every_change_is_safe(
        tables in proptest::collection::vec((any_routes(), proptest::bool::weighted(0.2)), 1..8),
        adopt: bool,
    ) {
        let mut layout = Layout::new(LIMITS);
        let mut maps = Maps::new();
        let mut before = Table::default();
        for (routes, fails) in tables {
            let after = table(&routes);
            let found = layout.clone();
            let mut staged = stage(&mut layout, &after).unwrap();
            if fails {
                // Nothing of it was written, or all was taken back.
                let retired = layout.abandon(staged);
                layout.reuse(&retired);
                for departed in layout.departed().clone() {
                    layout.give_back(&departed);
                }
                prop_assert_eq!(&layout, &found);
                continue;
            }
            let mut all_good = true;
            maps.apply(&staged.change, |maps| {
                all_good &= (0..6).map(key).all(|key| {
                    let seen = maps.read(key);
                    let turns = maps.read_turns(key).map(|(turns, _)| turns);
                    (seen == wanted(&before, key) && turns == wanted_turns(&before, key))
                        || (seen == wanted(&after, key) && turns == wanted_turns(&after, key))
                });
            });
            staged.change = Change::default();
            prop_assert!(all_good);
            for number in 0..6 {
                prop_assert_eq!(maps.read(key(number)), wanted(&after, key(number)));
            }
            for number in 0..6 {
                maps.connect(key(number));
            }
            let retired = layout.commit(staged);
            layout.reuse(&retired);
            // The next daemon finds what this one knows.
            let adopted = Layout::adopt(LIMITS, &maps.contents()).unwrap();
            prop_assert_eq!(&adopted, &as_found(&layout));
            if adopt {
                layout = adopted;
            }
            for departed in layout.departed().clone() {
                let at = layout.counted_at(&departed.key, &departed.name).unwrap();
                layout.give_back(&departed);
                maps.backend_refs.remove(&at);
            }
            before = after;
        }
        let (mut empty, _, retired) = plan(&layout, &Table::default());
        empty.reuse(&retired);
        for departed in empty.departed().clone() {
            empty.give_back(&departed);
        }
        prop_assert_eq!(empty, Layout::new(LIMITS));
    }
}
