//! Addresses that do not count, whoever has written them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::resources::{Denial, Provenance, Resource, cidr};

fn options(denied: &[&str], vips: &[&str], loopback: Option<bool>) -> Options {
    let nets = |texts: &[&str]| texts.iter().map(|text| cidr(text).unwrap()).collect();
    Options { guard: Guard::new(nets(denied), nets(vips), loopback), ..LATEST }
}

fn external(name: &str, address: &str) -> String {
    format!(
        "type: ExternalService\nname: {name}\ntags: {{kuma.io/service: outside}}\nnetworking: {{address: '{address}'}}\n"
    )
}

#[test]
fn an_endpoint_that_does_not_count_is_left_out_and_told() {
    let texts = [
        WEB.replace("service: db", "service: outside"),
        external("metadata", "169.254.169.254:80"),
        external("fine", "192.0.2.1:80"),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let routes = resolve(&texts);
    assert_eq!(backends(&routes)[0].2, ["192.0.2.1:80"]);
    assert_eq!(
        routes.warnings(),
        [
            "ExternalService metadata of mesh default: no connection goes to 169.254.169.254:80, an endpoint of outside: it is or \
             holds a link-local address"
        ]
    );
    // Alone it leaves a backend without endpoint, whose share is refused.
    let routes = resolve(&texts[..2]);
    assert_eq!(routes.routes[0].destination.action, Action::Route);
    assert_eq!(backends(&routes)[0].2, [] as [&str; 0]);
}

#[test]
fn what_dns_answers_is_judged() {
    let texts = [&*WEB.replace("service: db", "service: outside"), EXTERNAL];
    let answers = ["169.254.169.254", "192.0.2.7", "fe80::1", "64:ff9b::a9fe:a9fe"];
    let answers = answers.map(|ip| ip.parse().unwrap()).to_vec();
    let dns = DnsAnswers::from([("db.example.com".to_owned(), answers)]);
    let mut resolver = Resolver::new(resources(&texts), dns, Options::default());
    let routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    assert_eq!(backends(&routes)[0].2, ["192.0.2.7:5432"]);
    assert_eq!(routes.denied().len(), 3);
}

#[test]
fn what_is_dialled_is_judged() {
    let web = WEB.to_owned() + "    - {address: 169.254.1.1, port: 1001, tags: {kuma.io/service: db}}\n";
    let texts = [&*web, &db(&[(1, "")])];
    let routes = resolve(&texts);
    assert_eq!(routes.routes.len(), 1);
    assert_eq!(
        routes.warnings(),
        [
            "Dataplane web of mesh default: db is not dialled at 169.254.1.1:1001: it is or holds a link-local address"
        ]
    );
    let routes = resolve_with(&texts, options(&[], &[], Some(false)));
    assert!(routes.routes.is_empty());
}

const VIP: &str = "type: MeshService
name: mine
spec: {selector: {dataplaneTags: {kuma.io/service: db}}, ports: [{port: 443, targetPort: 5432}]}
status: {vips: [{ip: 10.96.0.1}, {ip: 169.254.169.254}, {ip: 0.0.0.0}, {ip: 8.8.8.8}, {ip: 241.0.0.1}]}
";

#[test]
fn vips_count_where_they_may_be() {
    let texts = [WEB, &db(&[(1, "")]), VIP];
    let dialled = |options: Options| {
        let routes = resolve_with(&texts, options);
        let mine = routes.routes.iter().filter(|route| &*route.destination.service == "mine");
        mine.map(|route| route.dialled.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(dialled(LATEST), ["241.0.0.1:443"]);
    assert_eq!(dialled(options(&[], &["10.96.0.0/12"], None)), ["10.96.0.1:443"]);
    assert_eq!(dialled(options(&["10.96.0.1"], &["10.96.0.0/12"], None)), [] as [&str; 0]);
    let denied =
        resolve_with(&texts, LATEST).denied().into_iter().map(|denied| denied.why).collect::<Vec<_>>();
    assert_eq!(
        denied,
        [Denial::Unspecified, Denial::OutsideVipCidr, Denial::OutsideVipCidr, Denial::LinkLocal]
    );
}

#[test]
fn who_asks_for_a_service_that_is_not_dialled_is_told_why() {
    let vip = VIP.replace(", {ip: 241.0.0.1}", "");
    let mut resolver = resolver(&[WEB, &db(&[(1, "")]), &vip], LATEST);
    let error = resolver.explain(&MeshName::default(), "web", "mine").unwrap_err().to_string();
    assert!(
        error.contains("MeshService mine of mesh default: mine is not dialled at 0.0.0.0:443"),
        "{error}"
    );
}

#[test]
fn a_vip_that_begins_to_count_is_seen() {
    let texts = |vip: &str| [WEB.to_owned(), db(&[(1, "")]), VIP.replace("241.0.0.1", vip)];
    let texts_of = |texts: &[String]| resources(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut resolver = Resolver::new(texts_of(&texts("9.9.9.9")), dns(), LATEST);
    let routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    assert_eq!((routes.routes.len(), routes.denied().len()), (1, 5));
    let update = resolver.update(texts_of(&texts("241.0.0.2")), dns());
    let Refreshed::Touched(routes) = resolver.refresh(&routes, &update).unwrap() else {
        panic!("there is one more route")
    };
    assert_eq!((routes.routes.len(), routes.denied().len()), (2, 4));
}

const ADDRESSES: [&str; 18] = [
    "0.0.0.0",
    "127.0.0.1",
    "127.8.1.1",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "10.96.0.1",
    "10.1.0.4",
    "192.0.2.1",
    "241.0.0.7",
    "::1",
    "::ffff:169.254.0.1",
    "fe80::1",
    "ff02::1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "2002:a9fe:a9fe::1",
    "2001:db8::1",
];

/// What may be said of addresses in a mesh, beside who has written it.
#[derive(Debug, Clone)]
struct Case {
    inbounds: Vec<(&'static str, bool)>,
    externals: Vec<&'static str>,
    answers: Vec<&'static str>,
    outbounds: Vec<&'static str>,
    vips: Vec<&'static str>,
    denied: Option<&'static str>,
    vip_cidr: Option<&'static str>,
    loopback: Option<bool>,
    from_cluster: bool,
    compat: Compat,
}

fn cases() -> impl Strategy<Value = Case> {
    let some = || vec(select(&ADDRESSES[..]), 0..5);
    let inbounds = vec((select(&ADDRESSES[..]), any::<bool>()), 0..5);
    let cidrs = || option::of(select(&["10.0.0.0/8", "2001:db8::/32", "240.0.0.0/4", "127.8.0.0/16"][..]));
    let compat = select(&[Compat::V2_4, Compat::Latest, Compat::V3][..]);
    let written = (inbounds, some(), some(), some(), some());
    (written, cidrs(), cidrs(), any::<Option<bool>>(), any::<bool>(), compat).prop_map(
        |(
            (inbounds, externals, answers, outbounds, vips),
            denied,
            vip_cidr,
            loopback,
            from_cluster,
            compat,
        )| {
            Case {
                inbounds,
                externals,
                answers,
                outbounds,
                vips,
                denied,
                vip_cidr,
                loopback,
                from_cluster,
                compat,
            }
        },
    )
}

impl Case {
    fn resources(&self) -> Resources {
        let mut texts = Vec::new();
        let mut web = WEB.to_owned();
        for (i, address) in self.outbounds.iter().enumerate() {
            for (j, service) in ["db", "outside", "named"].iter().enumerate() {
                let port = 2000 + 10 * i + j;
                writeln!(
                    web,
                    "    - {{address: '{address}', port: {port}, tags: {{kuma.io/service: {service}}}}}"
                )
                .unwrap();
            }
        }
        texts.push(web);
        for (i, (address, advertised)) in self.inbounds.iter().enumerate() {
            let (own, more) = if *advertised {
                (String::new(), format!("advertisedAddress: '{address}', "))
            } else {
                (format!("address: '{address}', "), String::new())
            };
            texts.push(format!(
                "type: Dataplane\nname: db-{i}\nnetworking: {{address: 10.0.0.9, {more}inbound: [{{{own}port: 5432, tags: {{kuma.io/service: db}}}}]}}\n"
            ));
        }
        for (i, address) in self.externals.iter().enumerate() {
            texts.push(external(
                &format!("e-{i}"),
                &SocketAddr::new(address.parse().unwrap(), 80).to_string(),
            ));
        }
        texts.push(EXTERNAL.replace("outside", "named").replace("name: db-named", "name: n"));
        let vips: Vec<String> = self.vips.iter().map(|ip| format!("{{ip: '{ip}'}}")).collect();
        texts.push(format!(
            "type: MeshService\nname: m\nspec: {{selector: {{dataplaneTags: {{kuma.io/service: db}}}}, ports: [{{port: 443, targetPort: 5432}}]}}\nstatus: {{vips: [{}]}}\n",
            vips.join(", ")
        ));
        let read = resources(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        if !self.from_cluster {
            return read;
        }
        let mut all = Resources::default();
        let dataplanes = read.dataplanes.values().cloned().map(Resource::Dataplane);
        let externals = read.external_services.values().cloned().map(Resource::ExternalService);
        let services = read.services.mesh.values().cloned().map(Resource::MeshService);
        for mut resource in dataplanes.chain(externals).chain(services) {
            resource.set_provenance(Provenance::Cluster);
            all.add(resource);
        }
        all
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// No denied address comes out of resolution, none that counts is missing, and each that is left out is told.
    #[test]
    fn what_comes_out_is_what_counts(case in cases()) {
        let nets = |text: Option<&str>| text.into_iter().map(|text| cidr(text).unwrap()).collect::<Vec<_>>();
        let guard = Guard::new(nets(case.denied), nets(case.vip_cidr), case.loopback);
        let from = if case.from_cluster { Provenance::Cluster } else { Provenance::Node };
        let ip = |text: &&str| text.parse::<IpAddr>().unwrap().to_canonical();
        let counting = |texts: &[&str]| {
            texts.iter().map(ip).filter(|&ip| guard.judge(ip, from).is_ok()).collect::<BTreeSet<IpAddr>>()
        };
        let answers = case.answers.iter().map(ip).collect();
        let dns = DnsAnswers::from([("db.example.com".to_owned(), answers)]);
        let options = Options { compat: case.compat, guard: guard.clone(), ..Options::default() };
        let mut resolver = Resolver::new(case.resources(), dns, options);
        let routes = resolver.resolve(&MeshName::default(), "web").unwrap();

        let inbounds: Vec<&str> = case.inbounds.iter().map(|(address, _)| *address).collect();
        for route in &routes.routes {
            let dialled = route.dialled.ip();
            prop_assert_eq!(guard.judge(dialled, from), Ok(()));
            let written = match &*route.destination.service {
                "db" => counting(&inbounds),
                "m" => {
                    prop_assert_eq!(guard.judge_vip(dialled, from), Ok(()));
                    counting(&inbounds)
                }
                "outside" | "named" if case.compat == Compat::V3 => BTreeSet::new(),
                "outside" => counting(&case.externals),
                "named" => counting(&case.answers),
                other => panic!("{other}"),
            };
            // What dials over IPv4 gets to IPv4 alone.
            let within = written.into_iter().filter(|ip| ip.is_ipv4() || dialled.is_ipv6());
            let expected: BTreeSet<IpAddr> = within.collect();
            for backend in &route.destination.backends {
                let got: BTreeSet<IpAddr> = backend.endpoints.iter().map(SocketAddr::ip).collect();
                prop_assert_eq!(&got, &expected, "{}", route.dialled);
            }
        }
        let dialled: BTreeSet<IpAddr> = routes.routes.iter().map(|route| route.dialled.ip()).collect();
        let vips = case.vips.iter().map(ip).filter(|&ip| guard.judge_vip(ip, from).is_ok());
        let own = counting(&["127.0.0.1"]);
        let expected: BTreeSet<IpAddr> = counting(&case.outbounds).into_iter().chain(vips).chain(own).collect();
        prop_assert_eq!(dialled, expected);
        for denied in routes.denied() {
            let ip = denied.address.ip();
            let judged = if denied.of.kind == "MeshService" { guard.judge_vip(ip, from) } else { guard.judge(ip, from) };
            prop_assert_eq!(judged, Err(denied.why));
        }
    }
}
