use std::{collections::BTreeMap, net::SocketAddr};

use proptest::prelude::*;
use tcproute_common::{Backend, RouteKey, RouteValue, SocketAddress};

use super::*;

const LIMITS: Limits = Limits { routes: 64, backends: 512, endpoints: 512 };

fn address(number: u16) -> SocketAddress {
    SocketAddr::from(([127, 0, 0, 1], number)).into()
}

fn key(number: u16) -> RouteKey {
    RouteKey { dialled: address(number), workload: 1 }
}

fn table(routes: &BTreeMap<u16, Vec<Vec<u16>>>) -> Table {
    let route = |backends: &Vec<Vec<u16>>| RouteTable {
        backends: backends
            .iter()
            .map(|endpoints| BackendTable {
                weight: 1,
                threshold: u32::MAX,
                alias: 0,
                endpoints: endpoints.iter().map(|&port| address(port)).collect(),
            })
            .collect(),
    };
    Table { routes: routes.iter().map(|(&number, backends)| (key(number), route(backends))).collect() }
}

/// The maps, as the programs read them.
#[derive(Clone)]
struct Maps {
    routes: BTreeMap<RouteKey, RouteValue>,
    backends: Vec<Option<Backend>>,
    endpoints: Vec<Option<SocketAddress>>,
}

impl Maps {
    fn new() -> Self {
        Self { routes: BTreeMap::new(), backends: vec![None; 512], endpoints: vec![None; 512] }
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
        let backends = (0..).zip(&self.backends).filter_map(|(index, entry)| Some((index, (*entry)?)));
        let endpoints = (0..).zip(&self.endpoints).filter_map(|(index, entry)| Some((index, (*entry)?)));
        Contents { routes: self.routes.clone(), backends: backends.collect(), endpoints: endpoints.collect() }
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

fn wanted(table: &Table, key: RouteKey) -> Option<Vec<Vec<SocketAddress>>> {
    table
        .routes
        .get(&key)
        .map(|route| route.backends.iter().map(|backend| backend.endpoints.clone()).collect())
}

#[test]
fn an_unchanged_table_changes_nothing() {
    let wanted = table(&BTreeMap::from([(1, vec![vec![10, 11], vec![]]), (2, vec![])]));
    let (layout, first) = Layout::new(LIMITS).plan(&wanted).unwrap();
    assert!(!first.is_empty());
    let (_, second) = layout.plan(&wanted).unwrap();
    assert_eq!(second, Change::default());
}

#[test]
fn backends_with_the_same_endpoints_share_a_run() {
    let wanted = table(&BTreeMap::from([(1, vec![vec![10, 11]]), (2, vec![vec![10, 11]])]));
    let (_, change) = Layout::new(LIMITS).plan(&wanted).unwrap();
    assert_eq!(change.endpoints.len(), 1);
}

#[test]
fn what_does_not_fit_names_the_limit() {
    let small = Limits { routes: 1, backends: 2, endpoints: 3 };
    let error = |routes: &[(u16, Vec<Vec<u16>>)]| {
        Layout::new(small).plan(&table(&routes.iter().cloned().collect())).map(|_| ()).unwrap_err()
    };
    assert_eq!(error(&[(1, vec![]), (2, vec![])]), OverLimit { what: "routes", needed: 2, limit: 1 });
    assert_eq!(
        error(&[(1, vec![vec![1], vec![1], vec![1]])]),
        OverLimit { what: "backends", needed: 3, limit: 2 }
    );
    assert_eq!(error(&[(1, vec![vec![1, 2, 3, 4]])]), OverLimit { what: "endpoints", needed: 4, limit: 3 });
}

#[test]
fn maps_that_contradict_themselves_are_not_adopted() {
    let wanted = table(&BTreeMap::from([(1, vec![vec![10, 11]]), (2, vec![vec![12]])]));
    let (_, change) = Layout::new(LIMITS).plan(&wanted).unwrap();
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
    let mut bad = good;
    bad.endpoints.insert(1, address(12));
    let small = Limits { endpoints: 1, ..LIMITS };
    assert_eq!(Layout::adopt(small, &bad), Err(Inconsistent("two runs of endpoints overlap")));
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
        tables in proptest::collection::vec(any_routes(), 1..8),
        adopt: bool,
    ) {
        let mut layout = Layout::new(LIMITS);
        let mut maps = Maps::new();
        let mut before = Table::default();
        for routes in tables {
            let after = table(&routes);
            let (mut next, change) = layout.plan(&after).unwrap();
            let mut all_good = true;
            maps.apply(&change, |maps| {
                all_good &= (0..6).map(key).all(|key| {
                    let seen = maps.read(key);
                    seen == wanted(&before, key) || seen == wanted(&after, key)
                });
            });
            prop_assert!(all_good);
            for number in 0..6 {
                prop_assert_eq!(maps.read(key(number)), wanted(&after, key(number)));
            }
            next.reuse(&change.retired_endpoints, &change.retired_backends);
            // The next daemon finds what this one knows.
            let adopted = Layout::adopt(LIMITS, &maps.contents()).unwrap();
            prop_assert_eq!(&adopted, &next);
            layout = if adopt { adopted } else { next };
            before = after;
        }
        let (mut empty, change) = layout.plan(&Table::default()).unwrap();
        empty.reuse(&change.retired_endpoints, &change.retired_backends);
        prop_assert_eq!(empty.backend_space.take(LIMITS.backends).map(|run| run.first), Some(0));
        prop_assert_eq!(empty.endpoint_space.take(LIMITS.endpoints).map(|run| run.first), Some(0));
    }
}
