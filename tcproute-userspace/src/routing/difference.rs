//! Which connections would go elsewhere after a change: two sets of resolved routes, compared by where
//! connections end and not by how that is written.

mod ends;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use serde::{Serialize, Serializer};

use self::ends::End;
pub use self::ends::Ends;
use super::DataplaneRoutes;
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
    /// How many connections are made each second, if that was measured.
    #[serde(rename = "perSecond", skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
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
    between(old.map(Ends::from).as_ref(), new.map(Ends::from).as_ref())
}

/// As [`difference`], of where connections end.
pub fn between(old: Option<&Ends>, new: Option<&Ends>) -> Option<DataplaneDifference> {
    let Ends { mesh, dataplane, .. } = new.or(old)?;
    let of = |ends: Option<&Ends>, dialled| ends.and_then(|ends| ends.routes.get(&dialled)).cloned();
    let addresses = |ends: Option<&Ends>| {
        ends.into_iter().flat_map(|ends| ends.routes.keys().copied()).collect::<BTreeSet<SocketAddr>>()
    };
    let all = &addresses(old) | &addresses(new);
    let routes = all.into_iter().filter_map(|dialled| compare(dialled, of(old, dialled), of(new, dialled)));
    let mut routes: Vec<RouteDifference> = routes.collect();
    routes.sort_by(|a, b| (&a.service, a.dialled).cmp(&(&b.service, b.dialled)));
    Some(DataplaneDifference { mesh: mesh.clone(), dataplane: dataplane.clone(), routes })
}

fn compare(dialled: SocketAddr, old: Option<End>, new: Option<End>) -> Option<RouteDifference> {
    let service = Arc::clone(&new.as_ref().or(old.as_ref())?.service);
    let fates = |end: Option<End>| end.map_or_else(End::as_dialled, |end| end.fates);
    let (before, after) = (fates(old), fates(new));
    let all: BTreeSet<Fate> = before.keys().chain(after.keys()).copied().collect();
    let share = |fates: &BTreeMap<Fate, f64>, fate| fates.get(&fate).copied().unwrap_or(0.0);
    let shifts: Vec<Shift> = all
        .into_iter()
        .map(|to| Shift { to, before: share(&before, to), after: share(&after, to) })
        .filter(|shift| (shift.before - shift.after).abs() > ROUNDING)
        .collect();
    let moved = shifts.iter().map(|shift| (shift.after - shift.before).abs()).sum::<f64>() / 2.0;
    let difference = RouteDifference { service, dialled, moved, per_second: None, shifts };
    (!difference.shifts.is_empty()).then_some(difference)
}

#[cfg(test)]
mod tests;
