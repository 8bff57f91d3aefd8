//! Where the connections of a Dataplane end: of routes that were resolved here, or that a daemon tells.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use serde::Deserialize;

use super::Fate;
use crate::{
    resources::{EmptyName, MeshName},
    routing::{Action, DataplaneRoutes, Destination},
};

/// Of one Dataplane, by what it dials.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Told")]
pub struct Ends {
    /// Its mesh.
    pub mesh: MeshName,
    /// Its name.
    pub dataplane: String,
    /// The order of policies that was in force, if a daemon has told it.
    pub compat: Option<String>,
    pub(super) routes: BTreeMap<SocketAddr, End>,
}

/// Of what is dialled at one address.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct End {
    pub(super) service: Arc<str>,
    /// The share of the connections that ends in each way; the shares sum to 1.
    pub(super) fates: BTreeMap<Fate, f64>,
}

impl End {
    pub(super) fn as_dialled() -> BTreeMap<Fate, f64> {
        BTreeMap::from([(Fate::AsDialled, 1.0)])
    }

    /// Of the share and the endpoints of each backendRef.
    fn of<'a>(backends: impl Iterator<Item = (f64, &'a [SocketAddr])>) -> BTreeMap<Fate, f64> {
        let mut fates = BTreeMap::new();
        for (share, endpoints) in backends.filter(|(share, _)| *share > 0.0) {
            #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 endpoints")]
            let each = share / endpoints.len() as f64;
            for endpoint in endpoints {
                *fates.entry(Fate::Endpoint(*endpoint)).or_insert(0.0) += each;
            }
            if endpoints.is_empty() {
                *fates.entry(Fate::Refused).or_insert(0.0) += share;
            }
        }
        if fates.is_empty() {
            fates.insert(Fate::Refused, 1.0);
        }
        fates
    }
}

impl From<&Destination> for End {
    fn from(destination: &Destination) -> Self {
        let fates = match destination.action {
            Action::Route => {
                Self::of(destination.backends.iter().map(|backend| (backend.share, &*backend.endpoints)))
            }
            Action::Passthrough => Self::as_dialled(),
        };
        Self { service: Arc::clone(&destination.service), fates }
    }
}

impl From<&DataplaneRoutes> for Ends {
    fn from(routes: &DataplaneRoutes) -> Self {
        let ends = routes.routes.iter().map(|route| (route.dialled, End::from(&*route.destination)));
        Self {
            mesh: routes.mesh.clone(),
            dataplane: routes.dataplane.clone(),
            compat: None,
            routes: ends.collect(),
        }
    }
}

/// As [`DataplaneRoutes`] are written.
#[derive(Deserialize)]
struct Told {
    mesh: String,
    dataplane: String,
    compat: String,
    routes: Vec<ToldRoute>,
}

#[derive(Deserialize)]
struct ToldRoute {
    service: String,
    address: IpAddr,
    port: u16,
    action: String,
    backends: Vec<ToldBackend>,
}

#[derive(Deserialize)]
struct ToldBackend {
    share: f64,
    endpoints: Vec<SocketAddr>,
}

impl TryFrom<Told> for Ends {
    type Error = EmptyName;

    fn try_from(told: Told) -> Result<Self, EmptyName> {
        let end = |route: ToldRoute| {
            let backends = route.backends.iter().map(|backend| (backend.share, backend.endpoints.as_slice()));
            let fates = if route.action == "route" { End::of(backends) } else { End::as_dialled() };
            (SocketAddr::new(route.address, route.port), End { service: route.service.into(), fates })
        };
        Ok(Self {
            mesh: told.mesh.try_into()?,
            dataplane: told.dataplane,
            compat: Some(told.compat),
            routes: told.routes.into_iter().map(end).collect(),
        })
    }
}
