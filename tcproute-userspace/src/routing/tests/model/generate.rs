//! Random meshes: few names, so that much of them meets.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{
    Backend, Destination, Dialled, External, Mesh, Pairs, Policy, Reference, Served, Service, Top, Workload,
};

const SERVICES: [&str; 4] = ["a", "b", "c", "nobody"];
const RESOURCES: [&str; 3] = ["m1", "m2", "gone"];
const PORTS: [u16; 3] = [80, 81, 82];

fn one_of(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(names).prop_map(str::to_owned)
}

/// A few pairs, of which `star` tells whether a value may be any.
fn pairs(star: bool) -> impl Strategy<Value = Pairs> {
    let values: &[&str] = if star { &["1", "2", "*"] } else { &["1", "2"] };
    let value = select(values.to_vec());
    proptest::collection::btree_map(one_of(&["v", "team"]), value.prop_map(str::to_owned), 0..3)
}

fn labels() -> impl Strategy<Value = Pairs> {
    proptest::collection::btree_map(one_of(&["app", "tier"]), one_of(&["1", "2"]), 1..3)
}

fn tagged() -> impl Strategy<Value = Pairs> {
    let protocol = option::weighted(0.5, one_of(&["tcp", "http", "http2", "grpc", "kafka"]));
    (one_of(&SERVICES[..3]), pairs(false), protocol).prop_map(|(service, mut tags, protocol)| {
        tags.insert("kuma.io/service".to_owned(), service);
        tags.extend(protocol.map(|protocol| ("kuma.io/protocol".to_owned(), protocol)));
        tags
    })
}

fn workload(number: usize) -> impl Strategy<Value = Workload> {
    let served = (0..3_usize, any::<bool>(), option::weighted(0.2, Just(())), tagged(), 0..8_u8);
    let served = served.prop_map(move |(port, named, own, tags, health)| Served {
        port: PORTS[port],
        name: named.then(|| format!("p{}", PORTS[port])),
        address: own.map(|()| format!("10.1.{number}.{port}")),
        tags,
        healthy: health != 0,
        ready: health != 1,
    });
    let dialled = (one_of(&SERVICES), option::weighted(0.2, pairs(false)));
    let advertised = option::weighted(0.2, Just(format!("10.2.0.{number}")));
    let gateway = option::weighted(0.2, tagged());
    (labels(), advertised, vec(served, 1..3), gateway, vec(dialled, 1..3)).prop_map(
        move |(labels, advertised, mut inbounds, gateway, dialled)| {
            // No two inbounds at one address.
            inbounds.sort_by_key(|inbound| inbound.port);
            inbounds.dedup_by_key(|inbound| inbound.port);
            let gateway = gateway.map(|mut tags| {
                tags.remove("kuma.io/protocol");
                tags
            });
            if gateway.is_some() {
                inbounds.clear();
            }
            let outbounds = dialled.into_iter().zip(1000..).map(|((service, more), port)| {
                let mut tags = more.unwrap_or_default();
                tags.insert("kuma.io/service".to_owned(), service);
                Dialled { port, tags }
            });
            let (name, address) = (format!("dp-{number}"), format!("10.0.0.{number}"));
            Workload { name, labels, address, advertised, inbounds, gateway, outbounds: outbounds.collect() }
        },
    )
}

fn external(number: usize) -> impl Strategy<Value = External> {
    (tagged(), prop::bool::weighted(0.2)).prop_map(move |(tags, tls)| External {
        name: format!("ext-{number}"),
        tags,
        address: format!("192.0.2.{number}:443"),
        tls,
    })
}

fn service(number: usize) -> impl Strategy<Value = Service> {
    let selector = (one_of(&SERVICES[..3]), pairs(false)).prop_map(|(service, mut tags)| {
        tags.insert("kuma.io/service".to_owned(), service);
        tags
    });
    let protocol = one_of(&["tcp", "tcp", "http", "kafka"]);
    (labels(), selector, select(&PORTS[..]), any::<bool>(), select(&PORTS[..]), protocol, 0..60_u8).prop_map(
        move |(labels, selector, port, named, target, protocol, created)| Service {
            name: RESOURCES[number].to_owned(),
            labels,
            selector,
            port,
            port_name: named.then(|| "main".to_owned()),
            target,
            protocol,
            vip: format!("241.0.0.{}", number + 1),
            // No two are of one age.
            created: created / 2 * 2 + u8::try_from(number).unwrap(),
        },
    )
}

/// Later versions take no star.
fn top(later: bool) -> BoxedStrategy<Top> {
    let service = || one_of(&SERVICES[..3]);
    let tags = || pairs(!later);
    let both = prop_oneof![
        3 => Just(Top::Mesh),
        2 => tags().prop_map(Top::MeshSubset),
        2 => service().prop_map(Top::MeshService),
        1 => (service(), tags()).prop_map(|(name, tags)| Top::MeshServiceSubset(name, tags)),
    ];
    if !later {
        return both.boxed();
    }
    prop_oneof![
        4 => both,
        1 => (0..4_usize).prop_map(|number| Top::DataplaneName(format!("dp-{number}"))),
        1 => labels().prop_map(Top::DataplaneLabels),
    ]
    .boxed()
}

fn destination(later: bool) -> BoxedStrategy<Destination> {
    let tag = || one_of(&SERVICES);
    if !later {
        return tag().prop_map(|name| Destination::Name(name, None)).boxed();
    }
    let section = || option::weighted(0.3, one_of(&["main", "80", "81"]));
    let named = |name| (name, section()).prop_map(|(name, section)| Destination::Name(name, section));
    prop_oneof![
        4 => named(tag().boxed()),
        2 => named(one_of(&RESOURCES).boxed()),
        2 => (labels(), section()).prop_map(|(labels, section)| Destination::Labels(labels, section)),
    ]
    .boxed()
}

fn reference(later: bool) -> impl Strategy<Value = Reference> {
    let both = prop_oneof![
        3 => one_of(&SERVICES).prop_map(Backend::MeshService),
        2 => (one_of(&SERVICES), pairs(false)).prop_map(|(name, tags)| Backend::MeshServiceSubset(name, tags)),
    ];
    let to = if later {
        let port = || select(&PORTS[..]);
        let more = prop_oneof![
            (one_of(&RESOURCES), port()).prop_map(|(name, port)| Backend::Port(name, port)),
            (labels(), port()).prop_map(|(labels, port)| Backend::PortOfLabels(labels, port)),
        ];
        prop_oneof![5 => both, 2 => more].boxed()
    } else {
        both.boxed()
    };
    (to, option::of(0..4_u32)).prop_map(|(to, weight)| Reference { to, weight })
}

fn policies(later: bool, kind: &'static str) -> impl Strategy<Value = Vec<Policy>> {
    let origin = option::weighted(0.3, one_of(&["global", "zone"]));
    let proxies = option::weighted(0.2, select(vec!["Sidecar", "Gateway"]));
    let to = vec((destination(later), vec(reference(later), 1..4)), 1..3);
    let policy = (top(later), origin, prop::bool::weighted(0.1), proxies, to);
    vec(policy, 0..5).prop_map(move |policies| {
        let numbered = policies.into_iter().zip(["m", "a", "z", "k", "x"]);
        let policy = |((top, origin, shadow, proxies, to), name)| {
            let mut labels = Pairs::new();
            labels.extend(Option::map(origin, |origin| ("kuma.io/origin".to_owned(), origin)));
            if shadow {
                labels.insert("kuma.io/effect".to_owned(), "shadow".to_owned());
            }
            // Only these two kinds may tell types of proxies apart.
            let proxies = Option::filter(proxies, |_| later && matches!(top, Top::Mesh | Top::MeshSubset(_)));
            Policy { name: format!("{name}-{kind}"), labels, top, proxies, to }
        };
        numbered.map(policy).collect()
    })
}

pub(super) fn mesh() -> impl Strategy<Value = Mesh> {
    any::<bool>().prop_flat_map(|later| {
        let dataplanes = (workload(1), workload(2), workload(3), workload(4));
        let externals = option::weighted(0.4, external(1));
        let services = (option::of(service(0)), option::of(service(1)));
        let policies = (policies(later, "tcp"), policies(later, "http"));
        (dataplanes, externals, services, policies).prop_map(
            move |(dataplanes, externals, services, (tcp, http))| {
                let services =
                    if later { services.0.into_iter().chain(services.1).collect() } else { Vec::new() };
                Mesh {
                    later,
                    dataplanes: vec![dataplanes.0, dataplanes.1, dataplanes.2, dataplanes.3],
                    externals: externals.into_iter().collect(),
                    services,
                    tcp,
                    http,
                }
            },
        )
    })
}
