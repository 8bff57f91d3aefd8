//! The resources as values: what stands in the files, and, by an implementation of its own of the little that is used
//! of MeshTCPRoute, where connections lead by them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::SocketAddr,
};

use crate::{
    bulk::Bulk,
    extent::{SERVICES, VERSIONS, workload_name},
    outcome::{Distribution, Outcome},
    policy::{BackendRef, Policy, Selects},
    unusable::{FOREIGN, Rejected, Unusable, foreign_file, policy_file},
};

/// What does not change: where everything listens.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// What clients dial. A plain server listens at each.
    pub(crate) destinations: Vec<Destination>,
    /// By service and nth.
    pub(crate) endpoints: Vec<Vec<SocketAddr>>,
    /// A server listens at this port of all IPv4 addresses.
    pub(crate) everywhere: u16,
}

/// One address that clients dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) service: usize,
    pub(crate) dialled: SocketAddr,
}

/// All resources.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mesh {
    /// By service and nth.
    pub(crate) endpoints: BTreeMap<(usize, usize), Endpoint>,
    /// By name: what is in force, be it in a file or the last good form of what is unusable there.
    pub(crate) policies: BTreeMap<String, Policy>,
    /// By name: what stands in the policy's file and cannot be used.
    pub(crate) unusable: BTreeMap<String, Unusable>,
    /// In [`FOREIGN`].
    pub(crate) foreign: BTreeSet<usize>,
    /// The services that each workload dials. Where it has no outbound, connections go as dialled.
    pub(crate) outbounds: Vec<BTreeSet<usize>>,
    pub(crate) bulk: Bulk,
    /// In an outbound that nobody dials. It tells one state from all others that were lately in force.
    pub(crate) marker: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// In [`VERSIONS`].
    pub(crate) version: usize,
    pub(crate) ready: bool,
}

/// What is taken in maps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entries {
    pub(crate) routes: u64,
    pub(crate) backends: u64,
    /// As if no two backends had the same ones.
    pub(crate) endpoints: u64,
    /// As if each took as many turns as its weight.
    pub(crate) turns: u64,
}

const MARKERS: u16 = 16;

impl Mesh {
    /// Makes the next state differ from those before it.
    pub(crate) const fn mark(&mut self) {
        self.marker = (self.marker + 1) % MARKERS;
    }

    fn marker(&self) -> SocketAddr {
        ([127, 250, 250, 250], 20_000 + self.marker).into()
    }

    /// Where a workload's connections to a destination lead.
    pub(crate) fn distribution(
        &self,
        addresses: &Addresses,
        workload: usize,
        destination: Destination,
    ) -> Distribution {
        let Destination { service, dialled } = destination;
        if !self.outbounds[workload].contains(&service) {
            return Distribution::only(Outcome::Reached(dialled));
        }
        self.service(addresses, workload, service)
    }

    fn service(&self, addresses: &Addresses, workload: usize, service: usize) -> Distribution {
        let refs = self.refs(workload, service);
        let backends = refs.iter().map(|r| (f64::from(r.weight), self.endpoints_of(addresses, *r)));
        Distribution::split(&backends.collect::<Vec<_>>())
    }

    /// What counts for a workload's connections to a service.
    fn refs(&self, workload: usize, service: usize) -> Vec<BackendRef> {
        let concerned = self.policies.iter().filter(|(_, policy)| {
            !policy.shadow
                && policy.to == service
                && [Selects::Mesh, Selects::Workload(workload)].contains(&policy.selects)
        });
        let strongest = concerned.max_by_key(|(name, policy)| (policy.selects, *name));
        let refs = strongest.and_then(|(_, policy)| policy.refs.clone());
        refs.unwrap_or_else(|| vec![BackendRef { service, version: None, weight: 1 }])
    }

    fn endpoints_of(&self, addresses: &Addresses, backend: BackendRef) -> Vec<SocketAddr> {
        let is_meant = |&(&(service, _), endpoint): &(&(usize, usize), &Endpoint)| {
            service == backend.service
                && endpoint.ready
                && backend.version.is_none_or(|version| version == endpoint.version)
        };
        let meant = self.endpoints.iter().filter(is_meant);
        let few = meant.map(|(&(service, nth), _)| addresses.endpoints[service][nth]);
        // One more service than there are is named.
        let is_there = backend.service < SERVICES;
        let many =
            is_there.then(|| self.bulk.endpoints(addresses.everywhere, backend.service, backend.version));
        few.chain(many.into_iter().flatten()).collect()
    }

    /// All routes of a workload, by what is dialled.
    pub(crate) fn routes(
        &self,
        addresses: &Addresses,
        workload: usize,
    ) -> BTreeMap<SocketAddr, Distribution> {
        let outbounds = &self.outbounds[workload];
        let dialled = addresses.destinations.iter().filter(|d| outbounds.contains(&d.service));
        let routes = dialled.map(|d| (d.dialled, self.service(addresses, workload, d.service)));
        let marker = (self.marker(), self.service(addresses, workload, 0));
        routes.chain([marker]).chain(self.bulk.routes(workload)).collect()
    }

    /// The most that is taken in the maps for these workloads, if there are many of nothing.
    pub(crate) fn entries(&self, addresses: &Addresses, workloads: impl Iterator<Item = usize>) -> Entries {
        let mut entries = Entries::default();
        for workload in workloads {
            let outbounds = &self.outbounds[workload];
            let dialled = addresses.destinations.iter().map(|d| d.service).filter(|s| outbounds.contains(s));
            for service in dialled.chain([0]) {
                entries.routes += 1;
                for backend in self.refs(workload, service) {
                    entries.backends += 1;
                    entries.turns += u64::from(backend.weight);
                    entries.endpoints += self.endpoints_of(addresses, backend).len() as u64;
                }
            }
        }
        entries
    }

    /// Every file by its name.
    pub(crate) fn files(&self, addresses: &Addresses) -> BTreeMap<String, String> {
        let mut files: BTreeMap<_, _> = [
            ("services.yaml".to_owned(), self.services_text(addresses)),
            ("workloads.yaml".to_owned(), self.workloads_text(addresses)),
        ]
        .into();
        files.extend(self.bulk.files(addresses.everywhere));
        files.extend(self.policies.iter().map(|(name, policy)| (policy_file(name), policy.text(name))));
        let unusable = self.unusable.iter();
        files.extend(unusable.map(|(name, unusable)| (policy_file(name), unusable.text.clone())));
        let foreign = self.foreign.iter();
        files.extend(foreign.map(|&number| (foreign_file(number), FOREIGN[number].0.to_owned())));
        files
    }

    /// What the daemon is to say of all that it cannot use.
    pub(crate) fn rejected(&self) -> BTreeSet<Rejected> {
        let unusable = self
            .unusable
            .iter()
            .map(|(name, unusable)| unusable.rejected(name, self.policies.contains_key(name)));
        let foreign = self.foreign.iter().filter_map(|&number| FOREIGN[number].1);
        let foreign = foreign.map(|subject| Rejected { subject: subject.to_owned(), kept: false });
        unusable.chain(foreign).collect()
    }

    /// Whether something in this file is rejected.
    pub(crate) fn is_spoilt(&self, file: &str) -> bool {
        self.unusable.keys().any(|name| policy_file(name) == file)
            || self.foreign.iter().any(|&number| foreign_file(number) == file)
    }

    /// A daemon that starts knows of no last good forms.
    pub(crate) fn forget_last_good_forms(&mut self) {
        self.policies.retain(|name, _| !self.unusable.contains_key(name));
    }

    fn services_text(&self, addresses: &Addresses) -> String {
        let mut text = String::new();
        for (&(service, nth), endpoint) in &self.endpoints {
            let address = addresses.endpoints[service][nth];
            let (ip, port, version) = (address.ip(), address.port(), VERSIONS[endpoint.version]);
            let health = if endpoint.ready { "" } else { ", health: {ready: false}" };
            let _ = write!(
                text,
                "---\ntype: Dataplane\nname: endpoint-{service}-{nth}\nnetworking:\n  address: {ip}\n  inbound:\n  \
                 - {{port: {port}, tags: {{kuma.io/service: svc-{service}, kuma.io/protocol: tcp, v: {version}}}{health}}}\n"
            );
        }
        text
    }

    fn workloads_text(&self, addresses: &Addresses) -> String {
        let mut text = String::new();
        for (workload, services) in self.outbounds.iter().enumerate() {
            let name = workload_name(workload);
            let _ = write!(
                text,
                "---\ntype: Dataplane\nname: {name}\nnetworking:\n  address: 127.0.0.1\n  inbound:\n  \
                 - {{port: 80, tags: {{kuma.io/service: {name}, kuma.io/protocol: tcp}}}}\n  outbound:\n"
            );
            text.push_str(&self.bulk.outbounds_text(workload));
            let dialled = addresses.destinations.iter().filter(|d| services.contains(&d.service));
            let outbounds = dialled.map(|d| (d.service, d.dialled)).chain([(0, self.marker())]);
            for (service, address) in outbounds {
                let (ip, port) = (address.ip(), address.port());
                let _ = writeln!(
                    text,
                    "  - {{address: '{ip}', port: {port}, tags: {{kuma.io/service: svc-{service}}}}}"
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extent::EACH;

    fn addresses() -> Addresses {
        let at = |ip: [u8; 4]| SocketAddr::from((ip, 1));
        Addresses {
            destinations: (0..SERVICES)
                .map(|service| Destination { service, dialled: at([127, 0, 0, service as u8 + 1]) })
                .collect(),
            endpoints: (0..SERVICES)
                .map(|service| (0..EACH).map(|nth| at([127, 1, service as u8, nth as u8])).collect())
                .collect(),
            everywhere: 9,
        }
    }

    fn mesh() -> Mesh {
        let endpoint = |version, ready| Endpoint { version, ready };
        Mesh {
            endpoints: [
                ((0, 0), endpoint(0, true)),
                ((0, 1), endpoint(1, true)),
                ((0, 2), endpoint(1, false)),
            ]
            .into(),
            policies: BTreeMap::new(),
            unusable: BTreeMap::new(),
            foreign: BTreeSet::new(),
            outbounds: vec![[0].into(), [0].into(), [].into()],
            bulk: Bulk::default(),
            marker: 0,
        }
    }

    fn of(mesh: &Mesh, workload: usize) -> Distribution {
        let addresses = addresses();
        mesh.distribution(&addresses, workload, addresses.destinations[0])
    }

    #[test]
    fn without_a_policy_a_service_leads_to_all_its_endpoints_that_are_ready() {
        let endpoints = &addresses().endpoints[0];
        assert_eq!(of(&mesh(), 0), Distribution::split(&[(1.0, vec![endpoints[0], endpoints[1]])]));
        let dialled = addresses().destinations[0].dialled;
        assert_eq!(of(&mesh(), 2), Distribution::only(Outcome::Reached(dialled)));
    }

    #[test]
    fn the_strongest_policy_counts() {
        let mut mesh = mesh();
        let to = |version, selects| Policy {
            selects,
            to: 0,
            shadow: false,
            refs: Some(vec![BackendRef { service: 0, version: Some(version), weight: 1 }]),
        };
        mesh.policies.insert("b".into(), to(0, Selects::Mesh));
        mesh.policies.insert("a".into(), to(1, Selects::Mesh));
        let endpoints = &addresses().endpoints[0];
        assert_eq!(of(&mesh, 0), Distribution::only(Outcome::Reached(endpoints[0])));
        mesh.policies.insert("0".into(), to(2, Selects::Workload(0)));
        assert_eq!(of(&mesh, 0), Distribution::only(Outcome::Refused));
        assert_eq!(of(&mesh, 1), Distribution::only(Outcome::Reached(endpoints[0])));
        mesh.policies.insert("z".into(), Policy { shadow: true, ..to(1, Selects::Workload(0)) });
        assert_eq!(of(&mesh, 0), Distribution::only(Outcome::Refused), "a shadow is never in force");
    }
    #[test]
    fn an_unusable_form_leaves_the_last_good_one_in_force_until_a_daemon_starts() {
        let mut mesh = mesh();
        let mut to = Policy {
            selects: Selects::Mesh,
            to: 0,
            shadow: false,
            refs: Some(vec![BackendRef { service: 0, version: Some(0), weight: 1 }]),
        };
        mesh.policies.insert("p0".into(), to.clone());
        to.refs = None;
        mesh.unusable.insert("p0".into(), Unusable::new("p0", &to, &mut fastrand::Rng::with_seed(1)));
        let endpoints = &addresses().endpoints[0];
        assert_eq!(of(&mesh, 0), Distribution::only(Outcome::Reached(endpoints[0])));
        let kept = |mesh: &Mesh| mesh.rejected().iter().map(|rejected| rejected.kept).collect::<Vec<_>>();
        assert_eq!(kept(&mesh), [true]);
        mesh.forget_last_good_forms();
        assert_eq!(of(&mesh, 0), Distribution::split(&[(1.0, endpoints[..2].to_vec())]));
        assert_eq!(kept(&mesh), [false]);
    }
}
