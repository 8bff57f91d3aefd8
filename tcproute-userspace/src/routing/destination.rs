//! What becomes of the connections to a service.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use super::{
    Action, Destination, Options, ResolvedBackend,
    policies::{EntryId, Policies},
    protocol,
    references::{Candidates, Nowhere},
    services::{ServiceId, Services},
};
use crate::{
    policy::{Conf, merge},
    resources::{BackendRef, BackendTarget, MeshName, MtlsMode, Pairs, Weight},
};

/// Everything that a destination depends on, but for the services themselves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct DestinationKey {
    pub(super) service: ServiceId,
    /// The entries of policies that are about it, from weak to strong.
    pub(super) entries: Arc<[EntryId]>,
    /// Whether a MeshHTTPRoute covers it.
    pub(super) http_covered: bool,
    /// Whether it is dialled at an IPv6 address.
    pub(super) over_ipv6: bool,
}

/// What all destinations have in common.
pub(super) struct World<'a> {
    pub(super) services: &'a Services,
    pub(super) policies: &'a Policies,
    pub(super) mtls: &'a BTreeMap<MeshName, MtlsMode>,
    pub(super) options: Options,
}

/// A backendRef and the services it may mean.
struct Backend<'a> {
    reference: &'a BackendRef,
    services: Result<Vec<ServiceId>, Nowhere>,
}

impl World<'_> {
    /// Resolves a destination. Also tells all services that it depends on.
    pub(super) fn resolve(&self, key: &DestinationKey) -> (Destination, BTreeSet<ServiceId>) {
        let name = Arc::clone(self.services.name(key.service));
        let entries: Vec<_> = key.entries.iter().map(|&id| self.policies.entry(id)).collect();
        let (conf, winner) = merge(entries.iter().map(|entry| &entry.to().rule));
        let itself = BackendRef {
            target: BackendTarget { service: self.services.reference(key.service).clone(), subset: None },
            weight: Weight::default(),
        };
        let mut depends = BTreeSet::from([key.service]);
        let backends: Vec<Backend<'_>> = match (conf, winner) {
            (Conf::Backends(refs), Some(winner)) => {
                let candidates = &entries[winner].backends;
                depends.extend(candidates.iter().flat_map(Candidates::all));
                let backend = |(reference, candidates): (_, &Candidates)| Backend {
                    reference,
                    services: candidates.backend(self.services, key.service),
                };
                refs.iter().zip(candidates).map(backend).collect()
            }
            _ => vec![Backend { reference: &itself, services: Ok(vec![key.service]) }],
        };
        let mut policies: Vec<String> = Vec::new();
        for entry in &entries {
            let policy = entry.policy.header.name.to_string();
            // One policy may name a destination more than once.
            policies.retain(|other| *other != policy);
            policies.push(policy);
        }
        let protocol = self.services.protocol(key.service);
        let mut destination = Destination {
            service: name,
            protocol: protocol.unwrap_or("tcp").to_owned(),
            action: Action::Passthrough,
            reason: String::new(),
            policies,
            backends: Vec::new(),
            warnings: Vec::new(),
        };
        let mut warnings = BTreeSet::new();
        match self.reason_for_proxy(key, protocol, &backends) {
            Some(reason) => {
                if reason.surprising {
                    let service = &destination.service;
                    warnings
                        .insert(format!("connections to {service} are left to the proxy: {}", reason.text));
                }
                destination.reason = reason.text;
            }
            None => {
                destination.action = Action::Route;
                destination.reason = if entries.is_empty() {
                    "no MeshTCPRoute names it: the destination itself".to_owned()
                } else {
                    "MeshTCPRoute".to_owned()
                };
                destination.backends = self.backends(key, &backends, &mut warnings);
            }
        }
        destination.warnings = warnings.into_iter().collect();
        (destination, depends)
    }

    /// Why connections to the service have to be left to the proxy, if they have to.
    fn reason_for_proxy(
        &self,
        key: &DestinationKey,
        protocol: Option<&str>,
        backends: &[Backend<'_>],
    ) -> Option<Reason> {
        if protocol::is_http(protocol) {
            let protocol = protocol.unwrap_or_default();
            if key.http_covered {
                return Some(Reason::expected(format!(
                    "the protocol is {protocol} and a MeshHTTPRoute covers it"
                )));
            }
            if key.entries.is_empty() {
                return Some(Reason::expected(format!(
                    "the protocol is {protocol} and no MeshTCPRoute names it"
                )));
            }
        }
        let mesh = self.services.mesh_of(key.service);
        if let Some(mode) = self.mtls.get(mesh)
            && !self.options.allow_mtls_bypass
        {
            return Some(Reason::surprising(match mode {
                MtlsMode::Strict => format!("mesh {mesh} has mTLS on, and its servers refuse plaintext"),
                MtlsMode::Permissive => {
                    format!("mesh {mesh} has mTLS on, and plaintext would be a silent downgrade")
                }
            }));
        }
        let weighted = backends.iter().filter(|backend| backend.reference.weight.get() > 0);
        let needs_tls = weighted
            .flat_map(|backend| {
                let subset = backend.reference.target.subset.as_ref();
                backend.services.iter().flatten().map(move |&service| (service, subset))
            })
            .find(|&(service, subset)| {
                self.services.matching(service, subset).any(|endpoint| endpoint.tls)
            })?;
        let name = self.services.name(needs_tls.0);
        let kind =
            if self.services.port(needs_tls.0).is_some() { "MeshExternalService" } else { "ExternalService" };
        Some(Reason::surprising(format!("{kind} {name} has TLS on, which the proxy originates")))
    }

    fn backends(
        &self,
        key: &DestinationKey,
        backends: &[Backend<'_>],
        warnings: &mut BTreeSet<String>,
    ) -> Vec<ResolvedBackend> {
        let sum: u64 = backends.iter().map(|backend| u64::from(backend.reference.weight.get())).sum();
        if sum == 0 {
            let service = self.services.name(key.service);
            warnings.insert(format!("all weights of {service} are 0: its connections are refused"));
        }
        let resolve = |backend: &Backend<'_>| {
            let BackendRef { target, weight } = backend.reference;
            ResolvedBackend {
                target: target.clone(),
                weight: *weight,
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a sum above 2^53 is off by less than one part in 2^53"
                )]
                share: if sum == 0 { 0.0 } else { f64::from(weight.get()) / sum as f64 },
                endpoints: self.endpoints(key, backend, warnings),
            }
        };
        backends.iter().map(resolve).collect()
    }

    /// The addresses of a backend's endpoints, sorted and without repeats.
    fn endpoints(
        &self,
        key: &DestinationKey,
        backend: &Backend<'_>,
        warnings: &mut BTreeSet<String>,
    ) -> Vec<SocketAddr> {
        let BackendTarget { service: reference, subset } = &backend.reference.target;
        let service = self.services.name(key.service);
        let found = match &backend.services {
            Ok(found) => found.as_slice(),
            Err(Nowhere::Unknown) => &[],
            Err(Nowhere::SeveralPorts) => {
                warnings.insert(format!(
                    "the route of {service} leads to {reference}, which has several ports, and does not say to \
                     which: its share is refused"
                ));
                return Vec::new();
            }
        };
        let mut addresses = BTreeSet::new();
        let mut out_of_reach = BTreeSet::new();
        for endpoint in found.iter().flat_map(|&id| self.services.matching(id, subset.as_ref())) {
            // A socket that dials IPv4 cannot connect to IPv6; one that dials IPv6 can connect to both.
            let (within, beyond): (Vec<SocketAddr>, Vec<SocketAddr>) =
                self.services.addresses(endpoint).partition(|to| to.is_ipv4() || key.over_ipv6);
            // A name with addresses of both kinds can be reached, and that is what counts.
            if within.is_empty() {
                out_of_reach.extend(beyond);
            }
            addresses.extend(within);
        }
        if !out_of_reach.is_empty() {
            let list: Vec<String> = out_of_reach.iter().map(ToString::to_string).collect();
            warnings.insert(format!(
                "{service} is dialled over IPv4, from where IPv6 endpoints of {reference} cannot be reached: {}",
                list.join(", ")
            ));
        } else if !found.iter().any(|&id| self.services.exists(id)) {
            warnings.insert(format!(
                "the route of {service} names {reference}, which does not exist: its share is refused"
            ));
        } else if addresses.is_empty() {
            let with = subset.as_ref().map(|tags| format!(" with {}", Pairs(tags))).unwrap_or_default();
            warnings.insert(format!(
                "the route of {service} leads to {reference}, which has no endpoint{with}: its share is refused"
            ));
        }
        addresses.into_iter().collect()
    }
}

/// Why a connection is left to the proxy.
struct Reason {
    text: String,
    /// Whether the operator must be told: a policy is not put in force.
    surprising: bool,
}

impl Reason {
    const fn expected(text: String) -> Self {
        Self { text, surprising: false }
    }

    const fn surprising(text: String) -> Self {
        Self { text, surprising: true }
    }
}
