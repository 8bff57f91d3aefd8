//! What comes by hundreds and thousands, and goes again, so that the maps grow: endpoints of services that are dialled,
//! services that nobody dials, and outbounds to those.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
};

use fastrand::Rng;

use crate::{
    extent::{SERVICES, VERSIONS, WORKLOADS},
    outcome::Distribution,
};

/// How many of each there are beside the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bulk {
    /// By service that is dialled.
    endpoints: [usize; SERVICES],
    /// Services of two endpoints each.
    services: usize,
    /// By workload. The first leads to the first of those services, and so on: the last may lead nowhere.
    outbounds: [usize; WORKLOADS],
}

/// As few may come at a time.
const FEWEST: usize = 100;
/// Of a service there are so many times fewer endpoints: what is shown of each of its routes has all of them.
const FEWER_ENDPOINTS: usize = 4;
/// Versions that endpoints have: not the last one.
const HAD: usize = VERSIONS.len() - 1;

impl Bulk {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As much as there may be of everything; of endpoints, for two services.
    pub(crate) const fn full(most: usize) -> Self {
        let mut endpoints = [0; SERVICES];
        endpoints[0] = most / FEWER_ENDPOINTS;
        endpoints[1] = most / FEWER_ENDPOINTS;
        Self { endpoints, services: most, outbounds: [most; WORKLOADS] }
    }

    /// Another number of one thing.
    pub(crate) fn change(&mut self, most: usize, rng: &mut Rng) -> &'static str {
        // As often few times the least as most of what there may be.
        let amount = |most: usize, rng: &mut Rng| {
            let doublings = (most / FEWEST).max(1).ilog2();
            let least = FEWEST << rng.u32(0..=doublings);
            rng.usize(least..=(2 * least).min(most.max(least)))
        };
        match rng.u32(0..6) {
            0 | 1 => {
                self.endpoints[rng.usize(0..SERVICES)] = amount(most / FEWER_ENDPOINTS, rng);
                "many endpoints"
            }
            2 => {
                self.services = amount(most, rng);
                "many services"
            }
            _ => {
                self.outbounds[rng.usize(0..WORKLOADS)] = amount(most, rng);
                "many outbounds"
            }
        }
    }

    /// Something of which there are many goes.
    pub(crate) fn shrink(&mut self, rng: &mut Rng) -> &'static str {
        let many: Vec<_> = self.all().filter(|amount| **amount > 0).collect();
        if let Some(amount) = rng.choice(many) {
            *amount = 0;
        }
        "few again"
    }

    /// Goes on to be another, one thing at a time. `false` if it is that.
    pub(crate) fn step_to(&mut self, other: &Self) -> bool {
        let mut other = other.clone();
        let mut pairs = self.all().zip(other.all());
        let differs = pairs.find(|(amount, wanted)| amount != wanted);
        differs.map(|(amount, wanted)| *amount = *wanted).is_some()
    }

    fn all(&mut self) -> impl Iterator<Item = &mut usize> {
        self.endpoints.iter_mut().chain([&mut self.services]).chain(&mut self.outbounds)
    }

    /// The endpoints of a service that is dialled. At all of them a server listens, at the port `everywhere`.
    pub(crate) fn endpoints(
        &self,
        everywhere: u16,
        service: usize,
        version: Option<usize>,
    ) -> impl Iterator<Item = SocketAddr> {
        let all = 0..self.endpoints[service];
        let meant = all.filter(move |number| version.is_none_or(|version| version == number % HAD));
        meant.map(move |number| (endpoint(service, number), everywhere).into())
    }

    /// Where each of a workload's outbounds leads.
    pub(crate) fn routes(&self, workload: usize) -> impl Iterator<Item = (SocketAddr, Distribution)> {
        (0..self.outbounds[workload]).map(|number| {
            let there = number < self.services;
            let endpoints = (0..2).filter(|_| there).map(|replica| replica_of(number, replica)).collect();
            (dialled(number), Distribution::split(&[(1.0, endpoints)]))
        })
    }

    /// The files, but for the outbounds, which stand with the others.
    pub(crate) fn files(&self, everywhere: u16) -> impl Iterator<Item = (String, String)> {
        let many = self.endpoints.iter().enumerate().filter(|(_, count)| **count > 0);
        let endpoints = many.map(move |(service, &count)| {
            let mut text = dataplane(&format!("many-{service}"));
            for number in 0..count {
                let (ip, version) = (endpoint(service, number), VERSIONS[number % HAD]);
                let tags = format!("kuma.io/service: svc-{service}, kuma.io/protocol: tcp, v: {version}");
                let _ = writeln!(text, "  - {{address: {ip}, port: {everywhere}, tags: {{{tags}}}}}");
            }
            (format!("many-endpoints-{service}.yaml"), text)
        });
        endpoints.chain((self.services > 0).then(|| ("many-services.yaml".to_owned(), self.services_text())))
    }

    fn services_text(&self) -> String {
        let mut text = String::new();
        for replica in 0..2 {
            text.push_str(&dataplane(&format!("replica-{replica}")));
            for number in 0..self.services {
                let (ip, port) = (replica_of(number, replica).ip(), replica_of(number, replica).port());
                let tags = format!("kuma.io/service: many-{number}, kuma.io/protocol: tcp");
                let _ = writeln!(text, "  - {{address: {ip}, port: {port}, tags: {{{tags}}}}}");
            }
        }
        text
    }

    /// A workload's outbounds, as they stand in its Dataplane.
    pub(crate) fn outbounds_text(&self, workload: usize) -> String {
        let mut text = String::new();
        for number in 0..self.outbounds[workload] {
            let (ip, port) = (dialled(number).ip(), dialled(number).port());
            let tags = format!("kuma.io/service: many-{number}");
            let _ = writeln!(text, "  - {{address: {ip}, port: {port}, tags: {{{tags}}}}}");
        }
        text
    }
}

/// Up to its inbounds.
fn dataplane(name: &str) -> String {
    format!("---\ntype: Dataplane\nname: {name}\nnetworking:\n  address: 127.0.0.1\n  inbound:\n")
}

/// Of a network for each service, 127.224.0.0/16 and those after it.
fn endpoint(service: usize, number: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x7FE0_0001 + ((service as u32) << 16) + number as u32)
}

/// Where nobody listens, and nobody goes.
fn replica_of(number: usize, replica: usize) -> SocketAddr {
    (Ipv4Addr::from(0xF100_0001 + ((replica as u32) << 20) + number as u32), 1).into()
}

/// Nobody dials it.
fn dialled(number: usize) -> SocketAddr {
    (Ipv4Addr::from(0xF000_0001 + number as u32), 80).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_changes_at_a_time_there_and_back() {
        let mut rng = Rng::with_seed(1);
        let (mut bulk, full) = (Bulk::default(), Bulk::full(1000));
        let mut steps = 0;
        while bulk.step_to(&full) {
            steps += 1;
        }
        assert_eq!((steps, &bulk), (2 + 1 + WORKLOADS, &full));
        while !bulk.is_empty() {
            bulk.shrink(&mut rng);
            steps -= 1;
        }
        assert_eq!(steps, 0);
    }

    #[test]
    fn amounts_stay_within_bounds() {
        let mut rng = Rng::with_seed(1);
        let mut bulk = Bulk::default();
        for _ in 0..1000 {
            bulk.change(1000, &mut rng);
        }
        let Bulk { endpoints, services, outbounds } = bulk;
        assert!(endpoints.iter().all(|count| (100..=250).contains(count)), "{endpoints:?}");
        assert!(outbounds.iter().all(|count| (100..=1000).contains(count)), "{outbounds:?}");
        assert!((100..=1000).contains(&services), "{services}");
    }

    #[test]
    fn outbounds_beyond_the_services_lead_nowhere() {
        let bulk = Bulk { services: 1, outbounds: [2, 0, 0], ..Bulk::default() };
        let routes: Vec<_> = bulk.routes(0).collect();
        let both = vec![replica_of(0, 0), replica_of(0, 1)];
        assert_eq!(routes[0].1, Distribution::split(&[(1.0, both)]));
        assert_eq!(routes[1].1, Distribution::split(&[(1.0, vec![])]));
        assert_eq!(bulk.outbounds_text(0).lines().count(), 2);
        assert_eq!(bulk.outbounds_text(1), "");
    }

    #[test]
    fn endpoints_have_all_versions_but_the_last() {
        let bulk = Bulk { endpoints: [7; SERVICES], ..Bulk::default() };
        let of = |version| bulk.endpoints(9, 1, version).count();
        assert_eq!((of(None), of(Some(0)), of(Some(1)), of(Some(2)), of(Some(3))), (7, 3, 2, 2, 0));
    }
}
