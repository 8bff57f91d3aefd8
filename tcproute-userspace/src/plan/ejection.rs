//! Taking dead endpoints out, and trying them again. Times are those since any fixed moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tcproute_common::{RouteKey, SocketAddress};

use super::counted::RefName;

/// When an endpoint is taken out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EjectionPolicy {
    /// After so many handshakes in a row have failed.
    pub after: u32,
    /// For so long the first time, twice as long the next, and so on up to 32 times.
    pub back_off: Duration,
}

/// An endpoint as one backendRef of one route has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The route.
    pub key: RouteKey,
    /// The backendRef.
    pub name: RefName,
    /// The endpoint.
    pub endpoint: SocketAddress,
}

/// The endpoints that are out, and those that were not long ago.
#[derive(Debug, Clone)]
pub struct Ejections {
    policy: EjectionPolicy,
    members: BTreeMap<Member, Ejection>,
    total: u64,
}

#[derive(Debug, Clone, Copy)]
struct Ejection {
    /// How often without having been well for as long as it was out.
    times: u32,
    until: Duration,
    out: bool,
}

impl Ejections {
    /// Nobody is out.
    pub const fn new(policy: EjectionPolicy) -> Self {
        Self { policy, members: BTreeMap::new(), total: 0 }
    }

    /// When an endpoint is taken out.
    pub const fn policy(&self) -> EjectionPolicy {
        self.policy
    }

    /// Takes an endpoint out whose handshakes have failed often enough. Whether it was in.
    pub fn eject(&mut self, member: Member, now: Duration) -> bool {
        let ejection = self.members.entry(member).or_insert(Ejection { times: 0, until: now, out: false });
        if ejection.out {
            return false;
        }
        ejection.times += 1;
        ejection.until = now + back_off(self.policy, ejection.times);
        ejection.out = true;
        self.total += 1;
        true
    }

    /// Puts in again whose time is over, and forgets who has been well for long enough. Who was put in.
    pub fn put_in(&mut self, now: Duration) -> Vec<Member> {
        let mut back = Vec::new();
        for (member, ejection) in &mut self.members {
            if ejection.out && ejection.until <= now {
                ejection.out = false;
                back.push(member.clone());
            }
        }
        let policy = self.policy;
        self.members
            .retain(|_, ejection| ejection.out || now < ejection.until + back_off(policy, ejection.times));
        back
    }

    /// The endpoints that are out, by route. A backendRef of which all are out keeps them (`RouteTable::without`).
    pub fn by_route(&self) -> BTreeMap<RouteKey, BTreeSet<(RefName, SocketAddress)>> {
        let mut by_route = BTreeMap::<_, BTreeSet<_>>::new();
        for (member, _) in self.out() {
            by_route.entry(member.key).or_default().insert((member.name.clone(), member.endpoint));
        }
        by_route
    }

    /// Forgets endpoints of which this is not said: they are in no backendRef of their route any more.
    pub fn retain(&mut self, mut is_there: impl FnMut(&Member) -> bool) {
        self.members.retain(|member, _| is_there(member));
    }

    /// Who is out, and until when.
    pub fn out(&self) -> impl Iterator<Item = (&Member, Duration)> {
        let out = self.members.iter().filter(|(_, ejection)| ejection.out);
        out.map(|(member, ejection)| (member, ejection.until))
    }

    /// How often an endpoint was taken out.
    pub const fn total(&self) -> u64 {
        self.total
    }
}

fn back_off(EjectionPolicy { back_off, .. }: EjectionPolicy, times: u32) -> Duration {
    back_off * (1 << times.clamp(1, 6).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::plan::table::{BackendTable, RouteTable};

    const POLICY: EjectionPolicy = EjectionPolicy { after: 3, back_off: Duration::from_secs(10) };

    fn address(port: u16) -> SocketAddress {
        SocketAddr::from(([127, 0, 0, 1], port)).into()
    }

    fn member(backend: u32, port: u16) -> Member {
        let key = RouteKey { dialled: address(1), workload: 1 };
        Member { key, name: RefName { target: "db".to_owned(), nth: backend }, endpoint: address(port) }
    }

    fn table(backends: &[Vec<u16>]) -> RouteTable {
        let backends = (0..).zip(backends).map(|(nth, ports)| BackendTable {
            name: member(nth, 0).name.into(),
            weight: 1,
            threshold: u32::MAX,
            alias: 0,
            endpoints: ports.iter().map(|&port| address(port)).collect(),
        });
        RouteTable { backends: backends.collect(), idle: [].into(), turns: None }
    }

    /// What is left of a route.
    fn left(ejections: &Ejections, backends: &[Vec<u16>]) -> Vec<Vec<u16>> {
        let out = ejections.by_route().remove(&member(0, 0).key).unwrap_or_default();
        let table = table(backends).without(&out);
        let ports = |backend: &BackendTable| backend.endpoints.iter().map(|it| it.port as u16).collect();
        table.backends.iter().map(ports).collect()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_share_goes_to_the_other_endpoints_of_the_same_backend_ref() {
        let mut ejections = Ejections::new(POLICY);
        assert!(ejections.eject(member(0, 10), seconds(0)));
        assert!(!ejections.eject(member(0, 10), seconds(1)), "it is out already");
        assert_eq!(left(&ejections, &[vec![10, 11], vec![10, 12]]), [vec![11], vec![10, 12]]);
    }

    #[test]
    fn when_all_are_out_all_are_in() {
        let mut ejections = Ejections::new(POLICY);
        ejections.eject(member(0, 10), seconds(0));
        ejections.eject(member(0, 11), seconds(0));
        assert_eq!(left(&ejections, &[vec![10, 11], vec![12]]), [vec![10, 11], vec![12]]);
    }

    #[test]
    fn it_is_tried_again_later_and_later_until_it_is_well() {
        let mut ejections = Ejections::new(POLICY);
        ejections.eject(member(0, 10), seconds(0));
        assert_eq!(ejections.put_in(seconds(9)), []);
        assert_eq!(ejections.put_in(seconds(10)), [member(0, 10)]);
        ejections.eject(member(0, 10), seconds(11));
        assert_eq!(ejections.put_in(seconds(30)), [], "twice as long");
        assert_eq!(ejections.put_in(seconds(31)), [member(0, 10)]);
        assert_eq!((ejections.out().count(), ejections.total()), (0, 2));
        assert_eq!(ejections.put_in(seconds(51)), [], "well for 20 seconds");
        ejections.eject(member(0, 10), seconds(60));
        assert_eq!(ejections.out().map(|(_, until)| until).collect::<Vec<_>>(), [seconds(70)]);
    }

    #[test]
    fn endpoints_that_have_left_are_forgotten() {
        let mut ejections = Ejections::new(POLICY);
        ejections.eject(member(0, 10), seconds(0));
        ejections.eject(member(0, 11), seconds(0));
        let table = table(&[vec![11, 12]]);
        ejections.retain(|member| table.endpoints().any(|endpoint| *endpoint == member.endpoint));
        assert_eq!(ejections.out().map(|(member, _)| member.endpoint).collect::<Vec<_>>(), [address(11)]);
    }

    proptest! {
        #[test]
        fn no_backend_ref_loses_its_last_endpoint_or_gains_one(
            backends in proptest::collection::vec(proptest::collection::vec(10_u16..15, 1..4), 1..4),
            out in proptest::collection::vec((0_u32..4, 10_u16..15), 0..12),
        ) {
            let mut ejections = Ejections::new(POLICY);
            for &(backend, port) in &out {
                ejections.eject(member(backend, port), seconds(0));
            }
            for (nth, (before, after)) in (0..).zip(backends.iter().zip(left(&ejections, &backends))) {
                prop_assert!(!after.is_empty());
                prop_assert!(after.iter().all(|port| before.contains(port)));
                let dead = |port: &u16| out.contains(&(nth, *port));
                prop_assert!(after == *before || !after.iter().any(dead));
            }
        }
    }
}
