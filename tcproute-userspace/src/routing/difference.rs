//! Which connections would go elsewhere after a change: two sets of resolved routes, compared by where
//! connections end and not by how that is written.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use serde::{Serialize, Serializer};

use super::{Action, DataplaneRoutes, Destination, ResolvedRoute};
use crate::resources::MeshName;

/// Shares that differ by less are the same, but for rounding.
const ROUNDING: f64 = 1e-9;

/// What changes for one Dataplane.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataplaneDifference {
    /// Its mesh.
    pub mesh: MeshName,
    /// Its name.
    pub dataplane: String,
    /// The routes with connections that go elsewhere.
    pub routes: Vec<RouteDifference>,
}

/// What changes for the connections to one address.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteDifference {
    /// The service behind it after the change, or before it if there is none any more.
    pub service: Arc<str>,
    /// What the application dials.
    pub dialled: SocketAddr,
    /// The share of the connections that goes elsewhere, from 0 to 1.
    pub moved: f64,
    /// Every fate whose share changes.
    pub shifts: Vec<Shift>,
}

/// The shares of the connections that meet one fate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shift {
    /// Where they end.
    pub to: Fate,
    /// The share before, from 0 to 1.
    pub before: f64,
    /// The share after.
    pub after: f64,
}

/// Where a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Where the application dials: at the proxy, if there is one.
    AsDialled,
    /// Nowhere.
    Refused,
    /// At an endpoint.
    Endpoint(SocketAddr),
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AsDialled => f.pad("as dialled"),
            Self::Refused => f.pad("refused"),
            Self::Endpoint(address) => f.pad(&address.to_string()),
        }
    }
}

impl Serialize for Fate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What changes for a Dataplane; one that is not there has no routes.
pub fn difference(
    old: Option<&DataplaneRoutes>,
    new: Option<&DataplaneRoutes>,
) -> Option<DataplaneDifference> {
    let subject = new.or(old)?;
    let (before, after) = (by_address(old), by_address(new));
    let addresses: BTreeSet<SocketAddr> = before.keys().chain(after.keys()).copied().collect();
    let compare = |dialled: SocketAddr| compare(dialled, before.get(&dialled), after.get(&dialled));
    let mut routes: Vec<RouteDifference> = addresses.into_iter().filter_map(compare).collect();
    routes.sort_by(|a, b| (&a.service, a.dialled).cmp(&(&b.service, b.dialled)));
    let DataplaneRoutes { mesh, dataplane, .. } = subject;
    Some(DataplaneDifference { mesh: mesh.clone(), dataplane: dataplane.clone(), routes })
}

type Destinations<'a> = BTreeMap<SocketAddr, &'a Arc<Destination>>;

fn by_address(routes: Option<&DataplaneRoutes>) -> Destinations<'_> {
    let routes = routes.into_iter().flat_map(|routes| &routes.routes);
    routes.map(|ResolvedRoute { dialled, destination }| (*dialled, destination)).collect()
}

fn compare(
    dialled: SocketAddr,
    old: Option<&&Arc<Destination>>,
    new: Option<&&Arc<Destination>>,
) -> Option<RouteDifference> {
    let service = &new.or(old)?.service;
    let (before, after) = (fates(old), fates(new));
    let all: BTreeSet<Fate> = before.keys().chain(after.keys()).copied().collect();
    let share = |fates: &BTreeMap<Fate, f64>, fate| fates.get(&fate).copied().unwrap_or(0.0);
    let shifts: Vec<Shift> = all
        .into_iter()
        .map(|to| Shift { to, before: share(&before, to), after: share(&after, to) })
        .filter(|shift| (shift.before - shift.after).abs() > ROUNDING)
        .collect();
    let moved = shifts.iter().map(|shift| (shift.after - shift.before).abs()).sum::<f64>() / 2.0;
    (!shifts.is_empty()).then(|| RouteDifference { service: Arc::clone(service), dialled, moved, shifts })
}

/// The share of the connections that ends in each way; the shares sum to 1.
fn fates(destination: Option<&&Arc<Destination>>) -> BTreeMap<Fate, f64> {
    let Some(destination) = destination.filter(|destination| destination.action == Action::Route) else {
        return BTreeMap::from([(Fate::AsDialled, 1.0)]);
    };
    let mut fates = BTreeMap::new();
    for backend in destination.backends.iter().filter(|backend| backend.weight.get() > 0) {
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 endpoints")]
        let each = backend.share / backend.endpoints.len() as f64;
        for endpoint in &*backend.endpoints {
            *fates.entry(Fate::Endpoint(*endpoint)).or_insert(0.0) += each;
        }
        if backend.endpoints.is_empty() {
            *fates.entry(Fate::Refused).or_insert(0.0) += backend.share;
        }
    }
    if fates.is_empty() {
        fates.insert(Fate::Refused, 1.0);
    }
    fates
}

#[cfg(test)]
mod tests;
