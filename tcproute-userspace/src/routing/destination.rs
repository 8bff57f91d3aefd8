//! What becomes of the connections to a service.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::{Hash, Hasher},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
};

use super::{
    Action, AddressRole, Bypass, DeniedAddress, Destination, Options, ResolvedBackend,
    endpoints::{Chosen, Endpoint},
    given_up::{OtherPolicies, ToOne},
    policies::Entry,
    references::Nowhere,
    service::ServiceId,
    services::Services,
};
use crate::{
    policy::{Compat, Conf, Referrer, merge},
    resources::{
        BackendRef, BackendTarget, ExternalAddress, MeshHttpRoute, MeshName, MeshTcpRoute, MtlsMode, Pairs,
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
    /// Whether the cluster leads there as well, so that it is no matter of ours unless a policy says where to go.
    pub(super) reached_anyway: bool,
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
    /// The policies of other kinds.
    pub(super) others: ToOne,
}

impl DestinationKey {
    /// Whether it is led to without us, and nobody says that it is to be otherwise.
    pub(super) const fn leaves_it_to_the_cluster(&self) -> bool {
        self.dialled.reached_anyway && self.entries.is_empty()
    }
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
pub(super) struct Context<'a> {
    pub(super) services: &'a Services,
    pub(super) resources: &'a Resources,
    pub(super) options: &'a Options,
    pub(super) others: &'a OtherPolicies,
}

/// A backendRef that counts, and where it leads.
pub(super) struct Backend<'a> {
    reference: &'a BackendRef,
    pub(super) service: Option<ServiceId>,
    /// One for all that mean the same service.
    pub(super) chosen: Option<Rc<Chosen<'a>>>,
    /// Tags of the endpoints.
    pub(super) subset: Option<&'a Tags>,
}

/// The endpoints that a backendRef means, as addresses.
struct Found {
    addresses: Arc<[SocketAddr]>,
    /// Those that cannot be reached from where the destination is dialled.
    out_of_reach: BTreeSet<SocketAddr>,
}

impl Backend<'_> {
    pub(super) const fn is_weighted(&self) -> bool {
        self.reference.weight.get() > 0
    }

    /// What the endpoints follow from: backendRefs with the same have the same endpoints.
    pub(super) const fn meaning(&self) -> (Option<ServiceId>, Option<&Tags>) {
        (self.service, self.subset)
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.chosen.iter().flat_map(|chosen| chosen.with(self.subset))
    }

    /// What servers with an identity of their own do with plaintext.
    pub(super) fn identities(&self) -> impl Iterator<Item = MtlsMode> {
        let any = self.chosen.as_ref().is_some_and(|chosen| chosen.has_identities);
        any.then(|| self.endpoints()).into_iter().flatten().filter_map(|endpoint| endpoint.identity)
    }
}

/// The backends of a destination.
pub(super) struct Backends<'a> {
    pub(super) all: Vec<Backend<'a>>,
    /// Those that lead nowhere, so that their share goes to the others.
    dropped: Vec<&'a BackendRef>,
    /// Whether not even the proxy knows of any.
    pub(super) unknown: bool,
}

impl Context<'_> {
    pub(super) const fn compat(&self) -> Compat {
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
                    chosen: Some(Rc::new(own.clone())),
                    subset,
                }];
                Backends { all, dropped: Vec::new(), unknown: false }
            }
        };
        // One policy may name a destination more than once: what it says last is how strong it is.
        let mut seen = HashSet::new();
        let strongest = key.entries.iter().rev().map(|entry| &entry.policy.header.name);
        let mut policies: Vec<String> =
            strongest.filter(|name| seen.insert(*name)).map(ToString::to_string).collect();
        policies.reverse();
        let mut destination = Destination {
            service: Arc::clone(self.services.name(service)),
            protocol: protocol.unwrap_or("tcp").to_owned(),
            action: Action::Passthrough,
            reason: String::new(),
            remedy: None,
            policies,
            backends: Vec::new(),
            bypass: None,
            names: Vec::new(),
            warnings: Vec::new(),
            denied: Vec::new(),
        };
        let mut denied = BTreeSet::new();
        let mut warnings = BTreeSet::new();
        let reason = self
            .reason_of_policies(key, protocol, &mut depends)
            .or_else(|| self.reason_of_backends(service, key.zone.as_deref(), &backends))
            .or_else(|| self.reason_of_size(&backends));
        // What is left to the proxy is kept there anyway.
        let permissions = if reason.is_none() { self.permissions(service, &backends) } else { Vec::new() };
        let reason = reason.or_else(|| self.reason_of_kept(key, &permissions));
        match reason {
            Some(reason) => {
                if reason.surprising {
                    let service = &destination.service;
                    warnings
                        .insert(format!("connections to {service} are left to the proxy: {}", reason.text));
                }
                destination.reason = reason.text;
                destination.remedy = Some(reason.remedy);
            }
            None => {
                destination.action = Action::Route;
                destination.reason = if key.entries.is_empty() {
                    "no MeshTCPRoute names it: the destination itself".to_owned()
                } else {
                    "MeshTCPRoute".to_owned()
                };
                destination.backends = self.backends(key, &backends, &mut warnings, &mut denied);
                let not_enforced = key.others.about.iter().map(|policy| &policy.0).chain(permissions);
                destination.bypass = Some(Bypass {
                    not_enforced: not_enforced.map(ToString::to_string).collect(),
                    plaintext: self.plaintext(service, &backends),
                });
                if self.services.have_names() {
                    destination.names = names(&backends);
                }
            }
        }
        destination.warnings = warnings.into_iter().collect();
        destination.denied = denied.into_iter().collect();
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
        let mut known: BTreeMap<ServiceId, Rc<Chosen<'b>>> = BTreeMap::new();
        for reference in refs {
            let found = self.find(policy, reference, depends);
            match found {
                Err(nowhere) => {
                    in_labels += usize::from(nowhere == Nowhere::NoLabels);
                    backends.dropped.push(reference);
                }
                Ok(service) => {
                    let chosen = service.map(|service| {
                        let choose = || Rc::new(self.services.chosen(service, key.zone.as_deref()));
                        Rc::clone(known.entry(service).or_insert_with(choose))
                    });
                    let subset = reference.target.subset.as_ref();
                    backends.all.push(Backend { reference, service, chosen, subset });
                }
            }
        }
        backends.unknown = backends.all.is_empty() && in_labels == refs.len();
        backends
    }

    /// The service that a backendRef means: none, if it is a tag that nothing has ever had.
    pub(super) fn find(
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
        let port = self.services.find_port(mesh, &Referrer::new(self.compat(), &policy.meta), target)?;
        depends.insert(Dependency::Service(port));
        Ok(Some(port))
    }

    fn backends(
        &self,
        key: &DestinationKey,
        backends: &Backends<'_>,
        warnings: &mut BTreeSet<String>,
        denied: &mut BTreeSet<DeniedAddress>,
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
        let mut found = HashMap::new();
        let resolved = backends.all.iter().map(|backend| {
            let BackendRef { target, weight } = backend.reference;
            let find = || self.addresses(key, backend, denied);
            let Found { addresses, out_of_reach } = found.entry(backend.meaning()).or_insert_with(find);
            warnings.extend(self.warning(key, backend, addresses, out_of_reach));
            ResolvedBackend {
                target: target.clone(),
                weight: *weight,
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a sum above 2^53 is off by less than one part in 2^53"
                )]
                share: if sum == 0 { 0.0 } else { f64::from(weight.get()) / sum as f64 },
                endpoints: Arc::clone(addresses),
            }
        });
        resolved.collect()
    }

    /// The addresses of a backend's endpoints, sorted and without repeats.
    fn addresses(
        &self,
        key: &DestinationKey,
        backend: &Backend<'_>,
        denied: &mut BTreeSet<DeniedAddress>,
    ) -> Found {
        let service = self.services.name(key.dialled.service);
        let mut addresses = Vec::new();
        let mut out_of_reach = BTreeSet::new();
        for endpoint in backend.endpoints() {
            let mut beyond = Vec::new();
            let before = addresses.len();
            for address in self.services.addresses(endpoint) {
                match self.options.guard.judge(address.ip(), endpoint.provenance) {
                    // A socket that dials IPv4 cannot connect to IPv6; one that dials IPv6 can connect to both.
                    Ok(()) if address.is_ipv4() || key.dialled.over_ipv6 => addresses.push(address),
                    Ok(()) => beyond.push(address),
                    Err(why) => {
                        let role = AddressRole::Endpoint;
                        let of = endpoint.source.identity();
                        let service = backend.service.map_or(service, |id| self.services.name(id)).clone();
                        denied.insert(DeniedAddress { role, address, service, of, why });
                    }
                }
            }
            // A name with addresses of both kinds can be reached, and that is what counts.
            if addresses.len() == before {
                out_of_reach.extend(beyond);
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        Found { addresses: addresses.into(), out_of_reach }
    }

    /// What the operator should know of a backend's endpoints.
    fn warning(
        &self,
        key: &DestinationKey,
        backend: &Backend<'_>,
        addresses: &[SocketAddr],
        out_of_reach: &BTreeSet<SocketAddr>,
    ) -> Option<String> {
        let reference = &backend.reference.target.service;
        let service = self.services.name(key.dialled.service);
        if !out_of_reach.is_empty() {
            let list: Vec<String> = out_of_reach.iter().map(ToString::to_string).collect();
            Some(format!(
                "{service} is dialled over IPv4, from where IPv6 endpoints of {reference} cannot be reached: {}",
                list.join(", ")
            ))
        } else if !backend.service.is_some_and(|id| self.services.exists(id)) {
            Some(format!(
                "the route of {service} names {reference}, which does not exist: its share is refused"
            ))
        } else if addresses.is_empty() {
            let subset = backend.subset.filter(|tags| !tags.is_empty());
            let with = subset.map(|tags| format!(" with {}", Pairs(tags))).unwrap_or_default();
            Some(format!(
                "the route of {service} leads to {reference}, which has no endpoint{with}: its share is refused"
            ))
        } else {
            None
        }
    }
}

/// The DNS names of endpoints.
fn names(backends: &Backends<'_>) -> Vec<String> {
    let mut names = BTreeSet::new();
    for backend in &backends.all {
        names.extend(backend.endpoints().filter_map(|endpoint| match &endpoint.address {
            ExternalAddress::Host(host, _) => Some(host.clone()),
            ExternalAddress::Socket(_) => None,
        }));
    }
    names.into_iter().collect()
}
