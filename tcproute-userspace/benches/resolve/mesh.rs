//! A mesh of any size: ten endpoints for each service, a policy for every ten services, 200 local Dataplanes that
//! dial every service.

use std::{net::SocketAddr, sync::Arc};

use tcproute::resources::{
    BackendRef, BackendTarget, Dataplane, ExternalAddress, Health, Inbound, MeshName, MeshTcpRoute, Meta,
    Origin, Outbound, PROTOCOL_TAG, PolicyHeader, Resource, ResourceName, Resources, Role, Rule, SERVICE_TAG,
    Selector, ServiceName, ServiceRef, Tags, To,
};

/// Local Dataplanes.
pub(crate) const DATAPLANES: usize = 200;
const ENDPOINTS_PER_SERVICE: usize = 10;
const SERVICES_PER_POLICY: usize = 10;
const TEAMS: usize = 10;

/// How large the mesh is.
pub(crate) struct Mesh {
    pub(crate) services: usize,
}

pub(crate) fn mesh() -> MeshName {
    MeshName::default()
}

/// The name of the `i`-th local Dataplane.
pub(crate) fn dataplane_name(i: usize) -> String {
    format!("local-{i}")
}

impl Mesh {
    pub(crate) const fn endpoints(&self) -> usize {
        self.services * ENDPOINTS_PER_SERVICE
    }

    pub(crate) const fn policies(&self) -> usize {
        self.services / SERVICES_PER_POLICY
    }

    pub(crate) fn resources(&self) -> Resources {
        let mut resources = Resources::default();
        for endpoint in 0..self.endpoints() {
            resources.add(Resource::Dataplane(Arc::new(self.endpoint(endpoint, address(endpoint, 5432)))));
        }
        for i in 0..DATAPLANES {
            resources.add(Resource::Dataplane(Arc::new(self.local(i))));
        }
        for i in 0..self.policies() {
            resources.add(Resource::TcpRoute(Arc::new(self.policy(i))));
        }
        resources
    }

    /// The same, but for one endpoint of a service that a policy speaks of.
    pub(crate) fn with_moved_endpoint(&self, resources: &Resources, which: usize) -> Resources {
        let mut resources = resources.clone();
        resources.add(Resource::Dataplane(Arc::new(self.endpoint(which, address(which, 5433)))));
        resources
    }

    /// The same resources with another split in the first policy, which is for all Dataplanes.
    pub(crate) fn with_changed_policy(&self, resources: &Resources, repeat: usize) -> Resources {
        let mut policy = self.policy(0);
        let weight = u32::try_from(repeat).expect("it is small") + 11;
        for to in &mut policy.to {
            if let Rule::Backends(backends) = &mut to.rule {
                backends[1].weight = weight.into();
            }
        }
        let mut resources = resources.clone();
        resources.add(Resource::TcpRoute(Arc::new(policy)));
        resources
    }

    fn endpoint(&self, i: usize, address: SocketAddr) -> Dataplane {
        let service = service(i % self.services);
        let version = if (i / self.services).is_multiple_of(2) { "v1" } else { "v2" };
        dataplane(format!("remote-{i}"), address, &service, &[("version", version), (PROTOCOL_TAG, "tcp")])
    }

    fn local(&self, i: usize) -> Dataplane {
        let own: ServiceName = format!("app-{i}").parse().expect("it is a name");
        let team = format!("team-{}", i % TEAMS);
        let mut dataplane = dataplane(dataplane_name(i), address(i, 80), &own, &[("team", &team)]);
        let outbound = |i| Outbound {
            address: address(i, 1000),
            service: ServiceRef::tagged(service(i)),
            tags: Tags::new(),
        };
        dataplane.outbounds = (0..self.services).map(outbound).collect();
        dataplane
    }

    /// A split of one service in ten; of the others, some have policies for some of the Dataplanes only.
    fn policy(&self, i: usize) -> MeshTcpRoute {
        let selector = match i % 4 {
            0 => Selector::Mesh,
            1 => Selector::MeshSubset(tags(&[("team", &format!("team-{}", i % TEAMS))])),
            2 => Selector::MeshService(format!("app-{}", i % DATAPLANES).parse().expect("it is a name")),
            _ => Selector::MeshServiceSubset(
                format!("app-{}", i % DATAPLANES).parse().expect("it is a name"),
                tags(&[("team", &format!("team-{}", i % TEAMS))]),
            ),
        };
        let split = |service: &ServiceName| {
            let part = |version: &str, weight: u32| BackendRef {
                target: BackendTarget {
                    service: ServiceRef::tagged(service.clone()),
                    subset: Some(tags(&[("version", version)])),
                },
                weight: weight.into(),
            };
            vec![part("v1", 90), part("v2", 10)]
        };
        // One that they all have in common, and one of their own.
        let to = [0, (i * SERVICES_PER_POLICY + 1) % self.services].map(service).map(|service| {
            let rule = Rule::Backends(split(&service));
            To { service: ServiceRef::tagged(service), rule }
        });
        let name = format!("policy-{i}");
        MeshTcpRoute {
            header: PolicyHeader {
                mesh: mesh(),
                name: ResourceName { name: name.as_str().into(), namespace: None },
                meta: Meta { display_name: name, ..Meta::default() },
                origin: Origin::Unknown,
                role: Role::System,
                proxies: None,
                shadow: false,
            },
            selector,
            to: to.into(),
        }
    }
}

fn service(i: usize) -> ServiceName {
    format!("service-{i}_ns_svc_5432").parse().expect("it is a name")
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn address(i: usize, port: u16) -> SocketAddr {
    let [_, b, c, d] = u32::try_from(i).expect("there are fewer").to_be_bytes();
    SocketAddr::from(([10, b, c, d], port))
}

fn dataplane(name: String, address: SocketAddr, service: &ServiceName, more: &[(&str, &str)]) -> Dataplane {
    let mut tags = tags(more);
    tags.insert(SERVICE_TAG, service.as_str());
    Dataplane {
        mesh: mesh(),
        name: ResourceName { name: name.into(), namespace: None },
        meta: Meta::default(),
        address: None,
        gateway: None,
        transparent: false,
        inbounds: vec![Inbound {
            address: ExternalAddress::Socket(address),
            service: Some(service.clone()),
            name: None,
            protocol: None,
            tags: Arc::new(tags),
            health: Health::Ready,
        }],
        outbounds: Vec::new(),
    }
}
