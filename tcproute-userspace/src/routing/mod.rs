//! Resolved routes: where each outbound of one Dataplane leads, as values that can be printed, compared
//! and diffed.

mod cache;
mod changes;
mod denied;
pub mod describe;
mod destination;
mod difference;
mod endpoints;
mod explain;
mod find;
mod given_up;
mod identities;
mod kept;
pub mod list;
mod pairs;
mod policies;
mod protocol;
mod reasons;
mod references;
mod resolved;
mod resolver;
mod routes;
mod selectors;
mod service;
mod service_resources;
mod services;
mod traffic;
mod update;
mod vips;

use std::{collections::BTreeMap, net::IpAddr};

pub use denied::{AddressRole, DeniedAddress};
pub use difference::{DataplaneDifference, Ends, Fate, RouteDifference, Shift, between, difference};
pub use explain::{Considered, Explanation, UnknownService, Verdict};
pub use find::UnknownDataplane;
pub(crate) use find::find;
pub use kept::KeptKinds;
pub(crate) use protocol::{common, is_http};
pub use resolved::{Action, Bypass, DataplaneRoutes, Destination, Plaintext, ResolvedBackend, ResolvedRoute};
pub use resolver::Resolver;
pub use routes::Routes;
pub use update::{Refreshed, Update};

use crate::{policy::Compat, resources::Guard};

/// The addresses of DNS names, as they were last answered.
pub type DnsAnswers = BTreeMap<String, Vec<IpAddr>>;

/// So many addresses of an answer count.
pub const ADDRESSES_OF_A_NAME: usize = 256;

/// What an operator may decide about resolution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Route past the proxy although the mesh has mTLS on.
    pub allow_mtls_bypass: bool,
    /// The order of policies.
    pub compat: Compat,
    /// Which addresses count.
    pub guard: Guard,
    /// Leave what no MeshTCPRoute is about to the cluster, which leads there by itself, but for the VIPs that only the
    /// mesh knows.
    pub in_cluster: bool,
    /// Leave to the proxy what policies of these kinds are about.
    pub kept: KeptKinds,
}

#[cfg(test)]
mod tests;
