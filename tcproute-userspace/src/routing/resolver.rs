//! From resources to the routes of Dataplanes.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::{
    AddressRole, DataplaneRoutes, DeniedAddress, Destination, DnsAnswers, Options, ResolvedRoute,
    UnknownDataplane,
    cache::Destinations,
    destination::{Context, DestinationKey, Dialled, Same},
    find::find,
    given_up::{OtherPolicies, ToAll, ToOne},
    policies::{Asked, Policies},
    service::{About, ServiceId},
    services::{Services, zone_of},
    traffic::TrafficRoutes,
    vips::Vip,
};
use crate::{
    policy::{Compat, Referrer},
    resources::{
        Dataplane, Gateway, Identity, Inbound, MeshHttpRoute, MeshName, MeshTcpRoute, Outbound, Resources,
        Rule, ServiceBy, ServiceRef, Tags,
    },
};

/// Resolves the routes of Dataplanes against one set of resources, and keeps what it resolved, so that after a
/// change only what the change touches is resolved again.
pub struct Resolver {
    pub(super) resources: Resources,
    options: Options,
    pub(super) services: Services,
    pub(super) policies: Policies,
    pub(super) others: OtherPolicies,
    pub(super) destinations: Destinations,
}

/// What a Dataplane does not dial, though resources say so.
#[derive(Default)]
pub(super) struct LeftOut {
    /// What contradicts itself or others.
    conflicts: BTreeSet<String>,
    pub(super) denied: BTreeSet<DeniedAddress>,
}

/// Who dials, and what of it is the same for all that it dials.
pub(super) struct Dialler<'a> {
    pub(super) dataplane: &'a Dataplane,
    zone: Option<Arc<str>>,
    traffic: Option<TrafficRoutes<'a>>,
    others: ToAll,
}

impl Resolver {
    /// Prepares what all Dataplanes share.
    pub fn new(resources: Resources, dns: DnsAnswers, options: Options) -> Self {
        let mut services = Services::new(&options, &resources, dns);
        let mut policies = Policies::default();
        for policy in resources.tcp_routes.values() {
            policies.replace_tcp(None, Some(policy));
            name_backends_of_tcp(policy, &mut services);
        }
        for policy in resources.http_routes.values() {
            policies.replace_http(None, Some(policy));
            name_backends_of_http(policy, &mut services);
        }
        let mut others = OtherPolicies::default();
        for policy in resources.other_policies.values() {
            others.replace(None, Some(policy));
        }
        services.rank_names();
        Self { options, policies, others, services, resources, destinations: Destinations::default() }
    }

    /// What is resolved.
    pub const fn resources(&self) -> &Resources {
        &self.resources
    }

    /// How it is resolved.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The routes of the Dataplane with this name, or, on Kubernetes, `name.namespace`.
    pub fn resolve(&mut self, mesh: &MeshName, name: &str) -> Result<DataplaneRoutes, UnknownDataplane> {
        let dataplane = Arc::clone(find(&self.resources, mesh, name)?);
        let mut left_out = LeftOut::default();
        let outbounds = self.outbounds(&dataplane, &mut left_out);
        let resources = self.resources.clone();
        let dialler = self.dialler(&resources, &dataplane);
        let keyed = outbounds.into_iter().map(|(address, dialled)| (address, self.key(&dialler, dialled)));
        let (addresses, keys): (Vec<SocketAddr>, Vec<DestinationKey>) =
            keyed.filter(|(_, key)| !key.leaves_it_to_the_cluster()).unzip();
        let routes = addresses.into_iter().zip(self.destinations_of(keys));
        let routes = routes.map(|(dialled, destination)| ResolvedRoute { dialled, destination }).collect();
        Ok(DataplaneRoutes {
            mesh: mesh.clone(),
            dataplane: dataplane.name.to_string(),
            compat: self.options.compat,
            routes,
            conflicts: left_out.conflicts.into_iter().collect(),
            denied: left_out.denied.into_iter().collect(),
            other_policies: self.other_policies(&dataplane),
        })
    }

    /// The policies of other kinds that the proxy of a Dataplane enforces on all that it dials.
    pub(super) fn other_policies(&self, dataplane: &Dataplane) -> Arc<[String]> {
        let of_mesh = self.others.of(&dataplane.mesh).into_iter();
        let everywhere = of_mesh.flat_map(|others| others.everywhere(self.options.compat, dataplane));
        everywhere.map(ToString::to_string).collect()
    }

    /// Where the Dataplane dials which service, each address once, sorted by service and address.
    pub(super) fn outbounds(
        &mut self,
        dataplane: &Dataplane,
        LeftOut { conflicts, denied }: &mut LeftOut,
    ) -> Vec<(SocketAddr, Dialled)> {
        let Dataplane { mesh, name, .. } = dataplane;
        let provenance = dataplane.meta.provenance;
        let mut outbounds = Vec::with_capacity(dataplane.outbounds.len());
        // In later versions whoever is redirected to the proxy has the addresses of services only.
        let written = if self.options.compat.is_later() && dataplane.transparent {
            [].as_slice()
        } else {
            dataplane.outbounds.as_slice()
        };
        for Outbound { address, service, tags } in written {
            let dialled = match service.tag() {
                Some(tag) => Some((self.services.tagged(mesh, tag), tags.clone(), false)),
                None => {
                    let from = Referrer::new(self.options.compat, &dataplane.meta);
                    self.services.find_port(mesh, &from, service).ok().map(|id| (id, Tags::new(), true))
                }
            };
            match dialled {
                Some((service, tags, by_number)) => {
                    match self.options.guard.judge_outbound(address.ip(), provenance) {
                        Ok(()) => {
                            let over_ipv6 = address.is_ipv6();
                            let reached_anyway = false;
                            let dialled = Dialled { service, tags, by_number, over_ipv6, reached_anyway };
                            outbounds.push((*address, dialled));
                        }
                        Err(why) => {
                            let service = Arc::clone(self.services.name(service));
                            let of = Identity { kind: Dataplane::KIND, key: dataplane.key() };
                            let (role, address) = (AddressRole::Dialled, *address);
                            denied.insert(DeniedAddress { role, address, service, of, why });
                        }
                    }
                }
                None => {
                    conflicts.insert(format!(
                        "the outbound {address} of Dataplane {name} names a service that does not exist"
                    ));
                }
            }
        }
        denied.extend(self.services.denied_vips(mesh).cloned());
        // A pod does not reach itself through the proxy.
        let own = own_sockets(dataplane);
        let policies = self.policies.of(mesh);
        let vips = self.services.vips(mesh).filter(|(_, vip)| !own.contains(&vip.address));
        let vips = vips.map(|(service, vip)| (vip.address, self.dialled_at(service, vip)));
        outbounds.extend(vips.filter(|(_, dialled)| {
            // Of thousands of services few are named by policies.
            let about = || self.services.about(dialled.service);
            !dialled.reached_anyway || policies.is_some_and(|policies| policies.tcp.may_concern(&about()))
        }));
        let services = &self.services;
        outbounds.sort_by(|(a_address, a), (b_address, b)| {
            services.compare_names(a.service, b.service).then_with(|| a_address.cmp(b_address))
        });
        let mut taken: FxHashMap<SocketAddr, ServiceId> =
            FxHashMap::with_capacity_and_hasher(outbounds.len(), FxBuildHasher);
        outbounds.retain(|(address, Dialled { service, .. })| {
            let Some(first) = taken.get(address) else {
                taken.insert(*address, *service);
                return true;
            };
            if first != service {
                let (first, service) = (services.name(*first), services.name(*service));
                conflicts.insert(format!(
                    "{address} of Dataplane {name} is the outbound of both {first} and {service}: it leads to {first}",
                ));
            }
            false
        });
        outbounds
    }

    /// What is dialled at an address of a service.
    pub(super) fn dialled_at(&self, service: ServiceId, vip: &Vip) -> Dialled {
        let over_ipv6 = vip.address.is_ipv6();
        let reached_anyway = self.options.in_cluster && !vip.is_only_of_mesh();
        Dialled { service, tags: vip.tags.clone(), by_number: false, over_ipv6, reached_anyway }
    }

    /// What all destinations of a Dataplane have in common.
    pub(super) fn dialler<'a>(&self, resources: &'a Resources, dataplane: &'a Dataplane) -> Dialler<'a> {
        let compat = self.options.compat;
        let policies = self.policies.of(&dataplane.mesh);
        // From 2.6 on a single MeshTCPRoute takes a Dataplane out of the reach of TrafficRoutes.
        let is_beyond = || match compat {
            Compat::V2_4 => false,
            Compat::Latest => policies.is_some_and(|policies| policies.tcp.any(compat, dataplane)),
            Compat::V3 => true,
        };
        let has_some = TrafficRoutes::are_in(resources, &dataplane.mesh);
        let traffic = (has_some && !is_beyond()).then(|| TrafficRoutes::of(resources, dataplane));
        let none = Tags::new();
        let tags = match (dataplane.inbounds.first(), &dataplane.gateway) {
            (Some(inbound), _) => &*inbound.tags,
            (None, Some(Gateway::Delegated(tags))) => tags,
            (None, _) => &none,
        };
        let others = self.others.of(&dataplane.mesh);
        let others = others.map(|others| others.to_all(compat, &self.options.kept, dataplane));
        let others = others.unwrap_or_default();
        Dialler { dataplane, others, zone: zone_of(dataplane, tags).map(Arc::from), traffic }
    }

    /// Where a service leads, resolved once for all Dataplanes to which the same applies.
    pub(super) fn destination(&mut self, dialler: &Dialler<'_>, dialled: Dialled) -> Arc<Destination> {
        let key = self.key(dialler, dialled);
        self.destination_of(key)
    }

    /// What a key leads to.
    pub(super) fn destination_of(&mut self, key: DestinationKey) -> Arc<Destination> {
        let (destinations, context) = self.resolving();
        destinations.get(key, &context)
    }

    /// What keys lead to, in their order.
    fn destinations_of(&mut self, keys: Vec<DestinationKey>) -> Vec<Arc<Destination>> {
        let (destinations, context) = self.resolving();
        destinations.get_all(keys, &context)
    }

    /// What is resolved already, and what the rest is resolved from.
    pub(super) const fn resolving(&mut self) -> (&mut Destinations, Context<'_>) {
        let Self { resources, options, services, destinations, others, .. } = self;
        (destinations, Context { services, resources, options, others })
    }

    /// All that decides where a Dataplane gets to.
    pub(super) fn key(&self, dialler: &Dialler<'_>, dialled: Dialled) -> DestinationKey {
        let asked = self.asked(dialler, &dialled);
        let (entries, http) = match self.policies.of(&dialler.dataplane.mesh) {
            Some(policies) => (policies.tcp.entries(&asked), policies.http.entries(&asked)),
            None => (Vec::new(), Vec::new()),
        };
        let traffic = match (&asked.about, &dialler.traffic) {
            (About::Tag(name), Some(routes)) => routes.leading_elsewhere(name, &dialled.tags).map(Same),
            _ => None,
        };
        let others = self.others_of(dialler, &asked);
        DestinationKey { dialled, entries, http, traffic, zone: dialler.zone.clone(), others }
    }

    /// What the policies of other kinds are to what is dialled.
    pub(super) fn others_of(&self, dialler: &Dialler<'_>, asked: &Asked<'_>) -> ToOne {
        let others = self.others.of(&dialler.dataplane.mesh);
        others.map(|others| others.to_one(&dialler.others, &self.options.kept, asked)).unwrap_or_default()
    }

    /// What policies are asked about a service that is dialled.
    pub(super) fn asked<'a>(&'a self, dialler: &'a Dialler<'_>, dialled: &Dialled) -> Asked<'a> {
        Asked {
            compat: self.options.compat,
            about: self.services.about(dialled.service),
            by_number: dialled.by_number,
            dataplane: dialler.dataplane,
        }
    }
}

/// Where a Dataplane is itself.
pub(super) fn own_sockets(dataplane: &Dataplane) -> BTreeSet<SocketAddr> {
    dataplane.inbounds.iter().filter_map(Inbound::socket).collect()
}

/// Has all services that backendRefs name by a tag, so that it is seen when they get endpoints.
pub(super) fn name_backends_of_tcp(policy: &MeshTcpRoute, services: &mut Services) {
    let refs = policy.to.iter().filter_map(|to| match &to.rule {
        Rule::Backends(refs) => Some(refs),
        Rule::Itself => None,
    });
    for backend in refs.flatten() {
        name_backend(&policy.header.mesh, &backend.target.service, services);
    }
}

/// As [`name_backends_of_tcp`].
pub(super) fn name_backends_of_http(policy: &MeshHttpRoute, services: &mut Services) {
    let rules = policy.to.iter().flat_map(|to| &to.rules);
    for backend in rules.filter_map(|rule| rule.backends.as_ref()).flatten() {
        name_backend(&policy.header.mesh, &backend.target.service, services);
    }
}

fn name_backend(mesh: &MeshName, service: &ServiceRef, services: &mut Services) {
    if let (ServiceBy::Name(name, _), None) = (&service.by, &service.port) {
        services.tagged(mesh, name);
    }
}
