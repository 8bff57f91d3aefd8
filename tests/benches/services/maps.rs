//! The kernel memory of tcproute's maps, by what it is for.

use std::collections::BTreeMap;

use crate::mesh::{ENDPOINTS, Services};

/// Bytes of each map, by its name.
pub(crate) type Maps = BTreeMap<String, u64>;

/// What maps are for that grow with services. The kernel cuts names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Where a service leads.
    Service,
    /// Where endpoints are.
    Endpoint,
    /// What became of connections, and by which backendRef.
    Counts,
}

impl Use {
    pub(crate) const ALL: [Self; 3] = [Self::Service, Self::Endpoint, Self::Counts];

    /// The maps.
    const fn maps(self) -> &'static [&'static str] {
        match self {
            Self::Service => &["routes", "backends"],
            Self::Endpoint => &["endpoints"],
            Self::Counts => &["outcomes", "carried", "backend_refs"],
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Service => "`routes`, `backends`: a service",
            Self::Endpoint => "`endpoints`: an endpoint",
            Self::Counts => "`outcomes`, `carried`, `backend_refs`: a service",
        }
    }

    /// In JSON.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Service => "routesAndBackendsBytesPerService",
            Self::Endpoint => "endpointsBytesPerEndpoint",
            Self::Counts => "countsBytesPerService",
        }
    }

    /// Bytes of one service or endpoint: what the maps have more than with fewer services.
    pub(crate) fn each(self, (services, maps): (Services, &Maps), (fewer, before): (Services, &Maps)) -> f64 {
        let number = match self {
            Self::Endpoint => ENDPOINTS,
            Self::Service | Self::Counts => 1,
        };
        let all = |maps: &Maps| -> u64 { self.maps().iter().filter_map(|name| maps.get(*name)).sum() };
        #[expect(clippy::cast_precision_loss, reason = "bytes, far below 2^53")]
        let more = all(maps) as f64 - all(before) as f64;
        more / (f64::from(services.0 - fewer.0) * f64::from(number))
    }
}
