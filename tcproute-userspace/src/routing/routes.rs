//! The routes of one Dataplane in a persistent map: a copy shares all of them, and two states are compared by what they
//! do not share.

use std::{collections::BTreeMap, net::SocketAddr, ops::Index, sync::Arc};

use super::{Destination, ResolvedRoute};
use imbl::{OrdMap, ordmap::DiffItem};

/// Routes by service and address. No two have the same address.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Routes(OrdMap<(Arc<str>, SocketAddr), ResolvedRoute>);

impl Routes {
    /// Sorted by service, address and port.
    pub fn iter(&self) -> impl Iterator<Item = &ResolvedRoute> {
        self.0.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The addresses at which these and the ones before differ, and what is there now. Takes as long as they differ
    /// much.
    pub fn changed_since(&self, before: &Self) -> BTreeMap<SocketAddr, Option<&ResolvedRoute>> {
        let mut changed = BTreeMap::new();
        for item in before.0.diff(&self.0) {
            match item {
                DiffItem::Add((_, address), route) | DiffItem::Update { new: ((_, address), route), .. } => {
                    changed.insert(*address, Some(route));
                }
                // Unless another service has taken the address.
                DiffItem::Remove((_, address), _) => drop(changed.entry(*address).or_insert(None)),
            }
        }
        changed
    }

    /// The route at an address. Takes as long as there are many.
    pub fn at(&self, address: SocketAddr) -> Option<&ResolvedRoute> {
        self.iter().find(|route| route.dialled == address)
    }

    /// The route to the same service at the same address.
    pub fn same(&self, route: &ResolvedRoute) -> Option<&ResolvedRoute> {
        self.0.get(&(Arc::clone(&route.destination.service), route.dialled))
    }

    /// Those to a service.
    pub(super) fn of_service<'a>(
        &'a self,
        service: &Arc<str>,
    ) -> impl Iterator<Item = &'a ResolvedRoute> + use<'a> {
        let service = Arc::clone(service);
        let first = (Arc::clone(&service), SocketAddr::from(([0; 4], 0)));
        let same = self.0.range(first..).take_while(move |((of, _), _)| *of == service);
        same.map(|(_, route)| route)
    }

    /// Puts a route in the place of the one to the same service at the same address.
    pub fn insert(&mut self, route: ResolvedRoute) {
        self.0.insert((Arc::clone(&route.destination.service), route.dialled), route);
    }

    /// Takes out the route to a service at an address.
    pub(super) fn remove(&mut self, service: &Arc<str>, address: SocketAddr) {
        self.0.remove(&(Arc::clone(service), address));
    }

    /// Puts another destination in the place of one, wherever that is. Whether it was anywhere.
    pub(super) fn replace(&mut self, before: &Arc<Destination>, after: &Arc<Destination>) -> bool {
        let service = &before.service;
        let first = (Arc::clone(service), SocketAddr::from(([0; 4], 0)));
        let same = self.0.range(first..).take_while(|((of, _), _)| of == service);
        let led_there = same.filter(|(_, route)| Arc::ptr_eq(&route.destination, before));
        let addresses: Vec<SocketAddr> = led_there.map(|((_, address), _)| *address).collect();
        for &dialled in &addresses {
            let route = ResolvedRoute { dialled, destination: Arc::clone(after) };
            self.0.insert((Arc::clone(service), dialled), route);
        }
        !addresses.is_empty()
    }
}

impl FromIterator<ResolvedRoute> for Routes {
    fn from_iter<I: IntoIterator<Item = ResolvedRoute>>(routes: I) -> Self {
        let keyed =
            routes.into_iter().map(|route| ((Arc::clone(&route.destination.service), route.dialled), route));
        Self(keyed.collect())
    }
}

impl<'a> IntoIterator for &'a Routes {
    type Item = &'a ResolvedRoute;
    type IntoIter =
        imbl::ordmap::Values<'a, (Arc<str>, SocketAddr), ResolvedRoute, imbl::shared_ptr::DefaultSharedPtr>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.values()
    }
}

impl Index<usize> for Routes {
    type Output = ResolvedRoute;

    /// In their order. Takes as long as there are many before it.
    fn index(&self, place: usize) -> &ResolvedRoute {
        self.iter().nth(place).expect("an index within the routes")
    }
}
