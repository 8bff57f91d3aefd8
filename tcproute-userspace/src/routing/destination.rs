//! What becomes of the connections to a service.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{Hash, Hasher},
    net::SocketAddr,
    sync::Arc,
};

use super::{
    Action, Destination, Options, ResolvedBackend,
    endpoints::Chosen,
    policies::Entry,
    protocol,
    service_resources::Nowhere,
    services::{ServiceId, Services},
};
use crate::{
    policy::{Compat, Conf, Referrer, merge},
    resources::{
        BackendRef, BackendTarget, HttpRule, MeshHttpRoute, MeshName, MeshTcpRoute, MtlsMode, Pairs,
        PolicyHeader, Resources, ServiceBy, ServiceKind, Tags, TrafficRoute, Weight,
    },
};

/// What is dialled at some address, whoever dials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Dialled {
    pub(super) service: ServiceId,
    /// Further tags of the outbound.
    pub(super) tags: Tags,
    /// Whether it names a port of a resource, which it does by number.
    pub(super) by_number: bool,
    /// Whether the address is an IPv6 one.
    pub(super) over_ipv6: bool,
}

/// Everything that a destination depends on, but for the services themselves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct DestinationKey {
    pub(super) dialled: Dialled,
    /// The entries of policies that are about it, from weak to strong.
    pub(super) entries: Vec<Entry<MeshTcpRoute>>,
    /// Those of MeshHTTPRoutes.
    pub(super) http: Vec<Entry<MeshHttpRoute>>,
    /// The TrafficRoute that leads elsewhere.
    pub(super) traffic: Option<Same<TrafficRoute>>,
    /// The zone of who dials.
    pub(super) zone: Option<Arc<str>>,
}

/// Something that is the same only while it is the same one in memory.
#[derive(Debug)]
pub(super) struct Same<T>(pub(super) Arc<T>);

impl<T> Clone for Same<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> PartialEq for Same<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Eq for Same<T> {}

impl<T> Hash for Same<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// What a destination is made from, so that it is another when that changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Dependency {
    Service(ServiceId),
    /// What a reference by this name, or by labels, means.
    Reference(MeshName, ServiceKind, Option<String>),
}

/// What all destinations have in common.
pub(super) struct World<'a> {
    pub(super) services: &'a Services,
    pub(super) resources: &'a Resources,
    pub(super) options: Options,
}

/// A backendRef that counts, and where it leads.
struct Backend<'a> {
    reference: &'a BackendRef,
    service: Option<ServiceId>,
    chosen: Option<Chosen<'a>>,
    /// Tags of the endpoints.
    subset: Option<&'a Tags>,
}

impl Backend<'_> {
    const fn is_weighted(&self) -> bool {
        self.reference.weight.get() > 0
    }
}

/// The backends of a destination.
struct Backends<'a> {
    all: Vec<Backend<'a>>,
    /// Those that lead nowhere, so that their share goes to the others.
    dropped: Vec<&'a BackendRef>,
    /// Whether not even the proxy knows of any.
    unknown: bool,
}

impl World<'_> {
    const fn compat(&self) -> Compat {
        self.options.compat
    }

    /// Resolves a destination. Also tells all that it depends on.
    pub(super) fn resolve(&self, key: &DestinationKey) -> (Destination, BTreeSet<Dependency>) {
        let service = key.dialled.service;
        let (conf, winner) = merge(key.entries.iter().map(|entry| &entry.to().rule));
        let itself = BackendRef {
            target: BackendTarget { service: self.services.reference(service).clone(), subset: None },
            weight: Weight::default(),
        };
        let mut depends = BTreeSet::from([Dependency::Service(service)]);
        let own = self.services.chosen(service, key.zone.as_deref());
        let protocol = self.services.protocol(service, &own);
        let backends = match (conf, winner) {
            (Conf::Backends(refs), Some(winner)) => {
                self.find_all(&key.entries[winner].policy.header, refs, key, &mut depends)
            }
            _ => {
                // Where no policy says where to go, the outbound does.
                let tags = &key.dialled.tags;
                let subset = (key.entries.is_empty() && !tags.is_empty()).then_some(tags);
                let all = vec![Backend {
                    reference: &itself,
                    service: Some(service),
                    chosen: Some(own.clone()),
                    subset,
                }];
                Backends { all, dropped: Vec::new(), unknown: false }
            }
        };
        let mut policies: Vec<String> = Vec::new();
        for entry in &key.entries {
            let policy = entry.policy.header.name.to_string();
            // One policy may name a destination more than once.
            policies.retain(|other| *other != policy);
            policies.push(policy);
        }
        let mut destination = Destination {
            service: Arc::clone(self.services.name(service)),
            protocol: protocol.unwrap_or("tcp").to_owned(),
            action: Action::Passthrough,
            reason: String::new(),
            policies,
            backends: Vec::new(),
            warnings: Vec::new(),
        };
        let mut warnings = BTreeSet::new();
        let reason = self
            .reason_of_policies(key, protocol, &mut depends)
            .or_else(|| self.reason_of_backends(service, &backends));
        match reason {
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
                destination.reason = if key.entries.is_empty() {
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

    /// What the backendRefs of a policy mean.
    fn find_all<'b>(
        &'b self,
        policy: &PolicyHeader,
        refs: &'b [BackendRef],
        key: &DestinationKey,
        depends: &mut BTreeSet<Dependency>,
    ) -> Backends<'b> {
        let mut backends = Backends { all: Vec::new(), dropped: Vec::new(), unknown: false };
        let mut in_labels = 0;
        for reference in refs {
            let found = self.find(policy, reference, depends);
            match found {
                Err(nowhere) => {
                    in_labels += usize::from(nowhere == Nowhere::NoLabels);
                    backends.dropped.push(reference);
                }
                Ok(service) => {
                    let chosen = service.map(|service| self.services.chosen(service, key.zone.as_deref()));
                    let subset = reference.target.subset.as_ref();
                    backends.all.push(Backend { reference, service, chosen, subset });
                }
            }
        }
        backends.unknown = backends.all.is_empty() && in_labels == refs.len();
        backends
    }

    /// The service that a backendRef means: none, if it is a tag that nothing has ever had.
    fn find(
        &self,
        policy: &PolicyHeader,
        reference: &BackendRef,
        depends: &mut BTreeSet<Dependency>,
    ) -> Result<Option<ServiceId>, Nowhere> {
        let target = &reference.target.service;
        let mesh = &policy.mesh;
        let name = match &target.by {
            ServiceBy::Name(name, _) => Some(name),
            ServiceBy::Labels(_) => None,
        };
        // What does not say which port means the tag, as in all versions.
        if target.kind == ServiceKind::MeshService && target.port.is_none() {
            let service = name.and_then(|name| self.services.find_tagged(mesh, name));
            depends.extend(service.map(Dependency::Service));
            return Ok(service);
        }
        depends.insert(Dependency::Reference(mesh.clone(), target.kind, name.map(ToString::to_string)));
        let port = self.services.find_port(mesh, &Referrer::new(&policy.meta), target)?;
        depends.insert(Dependency::Service(port));
        Ok(Some(port))
    }

    /// Why policies of other kinds keep connections at the proxy, if they do.
    fn reason_of_policies(
        &self,
        key: &DestinationKey,
        protocol: Option<&str>,
        depends: &mut BTreeSet<Dependency>,
    ) -> Option<Reason> {
        if protocol::is_http(protocol) {
            let protocol = protocol.unwrap_or_default();
            let why = if !key.http.is_empty() {
                "a MeshHTTPRoute covers it"
            } else if key.entries.is_empty() {
                "no MeshTCPRoute names it"
            } else {
                return None;
            };
            return Some(Reason::expected(format!("the protocol is {protocol} and {why}")));
        }
        if !key.entries.is_empty() {
            return None;
        }
        if self.compat() == Compat::V2_4 && self.has_http_backends(key, depends) {
            let text =
                "a MeshHTTPRoute leads it to services of http, so that it is served as http".to_owned();
            return Some(Reason::expected(text));
        }
        let Same(route) = key.traffic.as_ref()?;
        Some(Reason::surprising(format!("TrafficRoute {} leads it elsewhere", route.key.1)))
    }

    /// In 2.4 a MeshHTTPRoute makes a service of another protocol one of requests, if it leads to such services only.
    fn has_http_backends(&self, key: &DestinationKey, depends: &mut BTreeSet<Dependency>) -> bool {
        // Of rules about the same requests the strongest holds.
        let mut rules: HashMap<String, (&PolicyHeader, &HttpRule)> = HashMap::new();
        for entry in &key.http {
            for rule in &entry.to().rules {
                // A stronger one that says nothing of backends changes nothing of them.
                let slot = rules.entry(rule.matches.to_string()).or_insert((&entry.policy.header, rule));
                if rule.backends.is_some() {
                    *slot = (&entry.policy.header, rule);
                }
            }
        }
        let mut all_http = |(policy, rule): &(&PolicyHeader, &HttpRule)| {
            let refs = rule.backends.iter().flatten().filter(|backend| backend.weight.get() > 0);
            let mut any = false;
            for reference in refs {
                any = true;
                let service = self.find(policy, reference, depends).ok().flatten();
                let Some(service) = service else { return false };
                let chosen = self.services.chosen(service, key.zone.as_deref());
                if !matches!(self.services.protocol(service, &chosen), Some("http" | "http2")) {
                    return false;
                }
            }
            any
        };
        // All of them are asked, so that all is known that the answer depends on.
        rules.values().filter(|rule| all_http(rule)).count() > 0
    }

    /// Why connections to the service have to be left to the proxy because of where they would end, if they have to.
    fn reason_of_backends(&self, service: ServiceId, backends: &Backends<'_>) -> Option<Reason> {
        if backends.unknown {
            let text = "its backendRefs name services by labels that none has".to_owned();
            return Some(Reason::surprising(text));
        }
        let mesh = self.services.mesh_of(service);
        let known = self.resources.meshes.get(mesh).filter(|_| self.compat() != Compat::V3);
        let mtls = known.and_then(|mesh| mesh.mtls).filter(|_| !self.options.allow_mtls_bypass);
        let zone_egress = known.is_some_and(|mesh| mesh.zone_egress);
        backends.all.iter().filter(|backend| backend.is_weighted()).find_map(|backend| {
            let (Some(service), Some(chosen)) = (backend.service, &backend.chosen) else {
                return mtls.map(|mode| of_mtls(&format!("mesh {mesh} has mTLS on"), mode));
            };
            let name = self.services.name(service);
            if let Some(port) = self.services.port(service) {
                if port.kind == ServiceKind::MeshExternalService {
                    let text = format!("MeshExternalService {name} is reached through a zone egress");
                    return Some(Reason::surprising(text));
                }
                if port.kind == ServiceKind::MeshService && port.meta.is_synced() {
                    let text = format!("MeshService {name} is of another zone");
                    return Some(Reason::surprising(text));
                }
            }
            if chosen.external {
                if zone_egress {
                    let text = format!("ExternalService {name} is reached through a zone egress");
                    return Some(Reason::surprising(text));
                }
                let has_tls = chosen.with(None).any(|endpoint| endpoint.tls);
                let text = || format!("ExternalService {name} has TLS on, which the proxy originates");
                return has_tls.then(|| Reason::surprising(text()));
            }
            if let Some(mode) = mtls {
                return Some(of_mtls(&format!("mesh {mesh} has mTLS on"), mode));
            }
            let identities = chosen.with(backend.subset).filter_map(|endpoint| endpoint.identity);
            let strictest = identities.min().filter(|_| !self.options.allow_mtls_bypass)?;
            Some(of_mtls(&format!("{name} has servers with a MeshIdentity"), strictest))
        })
    }

    fn backends(
        &self,
        key: &DestinationKey,
        backends: &Backends<'_>,
        warnings: &mut BTreeSet<String>,
    ) -> Vec<ResolvedBackend> {
        let service = self.services.name(key.dialled.service);
        for dropped in &backends.dropped {
            let share = if backends.all.is_empty() { "is refused" } else { "goes to the others" };
            warnings.insert(format!(
                "the route of {service} names {}, which does not exist: its share {share}",
                dropped.target.service
            ));
        }
        let weights = backends.all.iter().map(|backend| backend.reference.weight);
        let sum: u64 = weights.map(|weight| u64::from(weight.get())).sum();
        if sum == 0 && !backends.all.is_empty() {
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
        backends.all.iter().map(resolve).collect()
    }

    /// The addresses of a backend's endpoints, sorted and without repeats.
    fn endpoints(
        &self,
        key: &DestinationKey,
        backend: &Backend<'_>,
        warnings: &mut BTreeSet<String>,
    ) -> Vec<SocketAddr> {
        let reference = &backend.reference.target.service;
        let service = self.services.name(key.dialled.service);
        let mut addresses = BTreeSet::new();
        let mut out_of_reach = BTreeSet::new();
        for endpoint in backend.chosen.iter().flat_map(|chosen| chosen.with(backend.subset)) {
            // A socket that dials IPv4 cannot connect to IPv6; one that dials IPv6 can connect to both.
            let (within, beyond): (Vec<SocketAddr>, Vec<SocketAddr>) =
                self.services.addresses(endpoint).partition(|to| to.is_ipv4() || key.dialled.over_ipv6);
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
        } else if !backend.service.is_some_and(|id| self.services.exists(id)) {
            warnings.insert(format!(
                "the route of {service} names {reference}, which does not exist: its share is refused"
            ));
        } else if addresses.is_empty() {
            let subset = backend.subset.filter(|tags| !tags.is_empty());
            let with = subset.map(|tags| format!(" with {}", Pairs(tags))).unwrap_or_default();
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

fn of_mtls(whose: &str, mode: MtlsMode) -> Reason {
    Reason::surprising(match mode {
        MtlsMode::Strict => format!("{whose}, and its servers refuse plaintext"),
        MtlsMode::Permissive => format!("{whose}, and plaintext would be a silent downgrade"),
    })
}
