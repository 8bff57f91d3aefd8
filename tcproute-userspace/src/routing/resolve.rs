//! From resources to the resolved routes of a Dataplane.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use thiserror::Error;

use super::{Action, DataplaneRoutes, ResolvedBackend, ResolvedRoute, protocol, services::Services};
use crate::{
    policy::{Conf, Merged, from_weak_to_strong, merge, selects},
    resources::{
        BackendRef, BackendTarget, Dataplane, MeshName, MtlsMode, Outbound, Resources, ServiceName, Weight,
        nearest,
    },
};

/// The addresses of DNS names, as they were last answered.
pub type DnsAnswers = BTreeMap<String, Vec<IpAddr>>;

/// What an operator may decide about resolution.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Route past the proxy although the mesh has mTLS on.
    pub allow_mtls_bypass: bool,
}

/// There is no such Dataplane.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("no Dataplane {name:?} in mesh {mesh:?}{hint}")]
pub struct UnknownDataplane {
    name: String,
    mesh: String,
    hint: String,
}

/// Resolves the routes of Dataplanes against one set of resources.
pub struct Resolver<'a> {
    resources: &'a Resources,
    services: Services<'a>,
    mtls: BTreeMap<&'a MeshName, MtlsMode>,
    options: Options,
}

/// What is known of the Dataplane whose routes are being resolved.
struct Subject<'a> {
    dataplane: &'a Dataplane,
    /// What the policies that select it say, by destination.
    tcp_routes: BTreeMap<&'a ServiceName, Merged<'a>>,
    /// Destinations that a MeshHTTPRoute covers for it.
    http_covered: BTreeSet<&'a ServiceName>,
}

impl<'a> Resolver<'a> {
    /// Prepares what all Dataplanes share.
    pub fn new(resources: &'a Resources, dns: &DnsAnswers, options: Options) -> Self {
        let mtls = resources.meshes.iter().filter_map(|mesh| Some((&mesh.name, mesh.mtls?))).collect();
        Self { resources, services: Services::new(resources, dns), mtls, options }
    }

    /// The routes of the Dataplane with this name, or, on Kubernetes, `name.namespace`.
    pub fn resolve(&self, mesh: &MeshName, name: &str) -> Result<DataplaneRoutes, UnknownDataplane> {
        let dataplane = self.find(mesh, name)?;
        let policies = &self.resources.tcp_routes;
        let mut tcp_routes: Vec<_> = policies
            .iter()
            .filter(|policy| policy.mesh == *mesh && selects(&policy.selector, dataplane))
            .collect();
        tcp_routes.sort_by(|a, b| from_weak_to_strong(a, b));
        let http_covered = self
            .resources
            .http_routes
            .iter()
            .filter(|policy| policy.mesh == *mesh && selects(&policy.selector, dataplane))
            .flat_map(|policy| &policy.to)
            .collect();
        let subject = Subject { dataplane, tcp_routes: merge(tcp_routes), http_covered };

        let mut outbounds: Vec<&Outbound> = dataplane.outbounds.iter().collect();
        outbounds.sort_by(|a, b| (&a.service, a.address).cmp(&(&b.service, b.address)));
        let mut warnings = BTreeSet::new();
        let mut taken: BTreeMap<SocketAddr, &ServiceName> = BTreeMap::new();
        let mut routes = Vec::new();
        for outbound in outbounds {
            if let Some(first) = taken.get(&outbound.address) {
                if **first != outbound.service {
                    warnings.insert(format!(
                        "{} of Dataplane {} is the outbound of both {first} and {}: it leads to {first}",
                        outbound.address, dataplane.name, outbound.service
                    ));
                }
                continue;
            }
            taken.insert(outbound.address, &outbound.service);
            routes.push(self.route(&subject, outbound, &mut warnings));
        }
        Ok(DataplaneRoutes {
            mesh: mesh.clone(),
            dataplane: dataplane.name.to_string(),
            routes,
            warnings: warnings.into_iter().collect(),
        })
    }

    fn find(&self, mesh: &MeshName, name: &str) -> Result<&'a Dataplane, UnknownDataplane> {
        let of_mesh = || self.resources.dataplanes.iter().filter(|dataplane| dataplane.mesh == *mesh);
        if let Some(dataplane) = of_mesh().find(|dataplane| dataplane.name.to_string() == name) {
            return Ok(dataplane);
        }
        let mut same_name = of_mesh().filter(|dataplane| dataplane.name.name == name);
        let hint = match (same_name.next(), same_name.next()) {
            (Some(only), None) => return Ok(only),
            (Some(one), Some(another)) => {
                format!(": {} and {} have that name in their namespaces", one.name, another.name)
            }
            (None, _) => {
                let mut names: Vec<String> = of_mesh().map(|dataplane| dataplane.name.name.clone()).collect();
                // On Kubernetes either may be what is misspelt.
                names.extend(of_mesh().map(|dataplane| dataplane.name.to_string()));
                match nearest(name, names.iter().map(String::as_str)) {
                    Some(near) => format!(", did you mean {near:?}?"),
                    None if names.is_empty() => ": the mesh has none in these resources".to_owned(),
                    None => String::new(),
                }
            }
        };
        Err(UnknownDataplane { name: name.to_owned(), mesh: mesh.to_string(), hint })
    }

    fn route(
        &self,
        subject: &Subject<'a>,
        outbound: &Outbound,
        warnings: &mut BTreeSet<String>,
    ) -> ResolvedRoute {
        let mesh = &subject.dataplane.mesh;
        let service = &outbound.service;
        let merged = subject.tcp_routes.get(service).cloned().unwrap_or_default();
        let protocol = self.services.protocol(mesh, service);
        let itself = [BackendRef {
            target: BackendTarget { service: service.clone(), subset: None },
            weight: Weight::default(),
        }];
        let refs = match merged.conf {
            Conf::Backends(refs) => refs,
            Conf::Itself => &itself,
        };
        let mut route = ResolvedRoute {
            service: service.clone(),
            dialled: outbound.address,
            protocol: protocol.unwrap_or("tcp").to_owned(),
            action: Action::Passthrough,
            reason: String::new(),
            policies: merged.policies.iter().map(|policy| policy.name.to_string()).collect(),
            backends: Vec::new(),
        };
        match self.reason_for_proxy(subject, service, protocol, merged.policies.is_empty(), refs) {
            Some(reason) => {
                if reason.surprising {
                    warnings
                        .insert(format!("connections to {service} are left to the proxy: {}", reason.text));
                }
                route.reason = reason.text;
            }
            None => {
                route.action = Action::Route;
                route.reason = if merged.policies.is_empty() {
                    "no MeshTCPRoute names it: the destination itself".to_owned()
                } else {
                    "MeshTCPRoute".to_owned()
                };
                route.backends = self.backends(mesh, outbound, refs, warnings);
            }
        }
        route
    }

    /// Why connections to the service have to be left to the proxy, if they have to.
    fn reason_for_proxy(
        &self,
        subject: &Subject<'a>,
        service: &ServiceName,
        protocol: Option<&str>,
        no_tcp_route: bool,
        refs: &[BackendRef],
    ) -> Option<Reason> {
        let mesh = &subject.dataplane.mesh;
        if protocol::is_http(protocol) {
            let protocol = protocol.unwrap_or_default();
            if subject.http_covered.contains(service) {
                return Some(Reason::expected(format!(
                    "the protocol is {protocol} and a MeshHTTPRoute covers it"
                )));
            }
            if no_tcp_route {
                return Some(Reason::expected(format!(
                    "the protocol is {protocol} and no MeshTCPRoute names it"
                )));
            }
        }
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
        let weighted = refs.iter().filter(|backend| backend.weight.get() > 0);
        let needs_tls = weighted.map(|backend| &backend.target).find(|target| {
            self.services.matching(mesh, &target.service, target.subset.as_ref()).any(|endpoint| endpoint.tls)
        })?;
        let text = format!("ExternalService {} has TLS on, which the proxy originates", needs_tls.service);
        Some(Reason::surprising(text))
    }

    fn backends(
        &self,
        mesh: &MeshName,
        outbound: &Outbound,
        refs: &[BackendRef],
        warnings: &mut BTreeSet<String>,
    ) -> Vec<ResolvedBackend> {
        let sum: u64 = refs.iter().map(|backend| u64::from(backend.weight.get())).sum();
        if sum == 0 {
            warnings
                .insert(format!("all weights of {} are 0: its connections are refused", outbound.service));
        }
        let resolve = |backend: &BackendRef| {
            let BackendTarget { service, subset } = &backend.target;
            let weight = f64::from(backend.weight.get());
            ResolvedBackend {
                kind: if subset.is_some() { "MeshServiceSubset" } else { "MeshService" }.to_owned(),
                name: service.clone(),
                tags: subset.clone().unwrap_or_default(),
                weight: backend.weight,
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a sum above 2^53 is off by less than one part in 2^53"
                )]
                share: if sum == 0 { 0.0 } else { weight / sum as f64 },
                endpoints: self.endpoints(mesh, outbound, &backend.target, warnings),
            }
        };
        refs.iter().map(resolve).collect()
    }

    /// The addresses of a backend's endpoints, sorted and without repeats.
    fn endpoints(
        &self,
        mesh: &MeshName,
        outbound: &Outbound,
        target: &BackendTarget,
        warnings: &mut BTreeSet<String>,
    ) -> Vec<SocketAddr> {
        let mut addresses = BTreeSet::new();
        let mut out_of_reach = BTreeSet::new();
        for endpoint in self.services.matching(mesh, &target.service, target.subset.as_ref()) {
            // A socket that dials IPv4 cannot connect to IPv6; one that dials IPv6 can connect to both.
            let (within, beyond): (Vec<SocketAddr>, Vec<SocketAddr>) =
                endpoint.addresses.iter().partition(|to| to.is_ipv4() || outbound.address.is_ipv6());
            // A name with addresses of both kinds can be reached, and that is what counts.
            if within.is_empty() {
                out_of_reach.extend(beyond);
            }
            addresses.extend(within);
        }
        let BackendTarget { service: name, subset } = target;
        let Outbound { service, address } = outbound;
        if !out_of_reach.is_empty() {
            let list: Vec<String> = out_of_reach.iter().map(ToString::to_string).collect();
            warnings.insert(format!(
                "{service} is dialled at {address}, from where IPv6 endpoints of {name} cannot be reached: {}",
                list.join(", ")
            ));
        } else if !self.services.exists(mesh, name) {
            warnings.insert(format!(
                "the route of {service} names {name}, which does not exist: its share is refused"
            ));
        } else if addresses.is_empty() {
            let tags = subset.iter().flatten().map(|(key, value)| format!(" {key}={value}"));
            let with = if subset.is_some() { " with" } else { "" };
            warnings.insert(format!(
                "the route of {service} leads to {name}, which has no endpoint{with}{}: its share is refused",
                tags.collect::<String>()
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

#[cfg(test)]
mod tests;
