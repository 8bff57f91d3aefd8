//! Sets of documents, and what real control planes of Kuma decided for each outbound. Their record is kept beside the
//! checkout.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;
use tcproute::{
    policy::Compat,
    routing::{Action, Destination, DnsAnswers, Options, ResolvedRoute, Resolver},
    sources::{self, Strictness},
};

/// What a set of documents comes to otherwise, with why. `docs/reference/compatibility.md` says more.
const DIFFERENT: [(&str, &str); 6] = [
    ("endpoints-ipv6", "the kernel cannot connect a socket of IPv4 to an address of IPv6"),
    ("traffic-route", TRAFFIC_ROUTE),
    ("traffic-route-split", TRAFFIC_ROUTE),
    ("traffic-route-and-mesh-tcp-route-of-another", TRAFFIC_ROUTE),
    ("mesh-external-service", "it is reached through a zone egress, which the proxy knows"),
    ("weight-beyond-32-bits", "what Kuma makes of it is an accident"),
];

const TRAFFIC_ROUTE: &str = "a TrafficRoute is left to the proxy";

/// Rules of Kuma that are faults, and are not followed.
const FAULTS: [&str; 1] = ["oddproto"];

/// Of each backend the share, in billionths, and the endpoints.
type Shares = Vec<(u64, Vec<String>)>;

#[test]
fn outbounds_lead_where_kuma_leads_them() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/oracle/cases");
    let Ok(cases) = fs::read_dir(&cases) else {
        println!("SKIPPED outbounds_lead_where_kuma_leads_them: there is no record beside the checkout");
        return;
    };
    let mut cases: Vec<PathBuf> = cases.map(|case| case.unwrap().path()).collect();
    cases.sort();
    let (mut wrong, mut outbounds) = (Vec::new(), 0);
    for case in &cases {
        for (version, compat) in [("2.4.10", Compat::V2_4), ("2.14.3", Compat::Latest)] {
            let Ok(record) = fs::read_to_string(case.join(format!("expected-{version}.json"))) else {
                continue;
            };
            let name = case.file_name().unwrap().to_string_lossy().into_owned();
            if !DIFFERENT.iter().any(|(different, _)| *different == name) {
                let record = serde_json::from_str(&record).unwrap();
                compare(&format!("{version} {name}"), case, &record, compat, &mut outbounds, &mut wrong);
            }
        }
    }
    assert!(outbounds > 700, "{outbounds} outbounds were compared");
    assert!(wrong.is_empty(), "{} of {outbounds} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn compare(
    name: &str,
    case: &Path,
    record: &Value,
    compat: Compat,
    outbounds: &mut usize,
    wrong: &mut Vec<String>,
) {
    let documents = taken(&case.join("resources.yaml"), record);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("resources.yaml");
    fs::write(&file, documents).unwrap();
    let resources =
        sources::load(&[file], Strictness::Lenient).unwrap_or_else(|errors| panic!("{name}: {errors}"));
    let options = Options { compat, ..Options::default() };
    let mut resolver = Resolver::new(resources, DnsAnswers::new(), options);
    for dataplane in record["dataplanes"].as_array().unwrap() {
        let mesh = dataplane["mesh"].as_str().unwrap().parse().unwrap();
        let dataplane_name = dataplane["name"].as_str().unwrap();
        let routes = resolver.resolve(&mesh, dataplane_name).unwrap();
        let routes: BTreeMap<SocketAddr, &ResolvedRoute> =
            routes.routes.iter().map(|route| (route.dialled, route)).collect();
        for outbound in dataplane["outbounds"].as_array().unwrap() {
            let depends = outbound["dependsOn"].as_array().into_iter().flatten();
            let depends: Vec<&str> = depends.filter_map(Value::as_str).collect();
            let left_to_proxy = depends.contains(&"trafficroute");
            if left_to_proxy || depends.iter().any(|rule| FAULTS.contains(rule)) {
                continue;
            }
            *outbounds += 1;
            let ip: IpAddr = outbound["address"].as_str().unwrap().parse().unwrap();
            let dialled = SocketAddr::new(ip, outbound["port"].as_u64().unwrap().try_into().unwrap());
            let destination = routes.get(&dialled).map(|route| &*route.destination);
            if let Err(ours) = agrees(outbound, destination) {
                let his = shares_of(outbound);
                let listener = &outbound["listener"];
                wrong.push(format!(
                    "{name} {dataplane_name} {dialled}: Kuma: {listener} {his:?}; tcproute: {ours}"
                ));
            }
        }
    }
}

/// The documents that the control plane took.
fn taken(path: &Path, record: &Value) -> String {
    let refused: Vec<[&str; 3]> = record["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refused| ["type", "mesh", "name"].map(|field| refused[field].as_str().unwrap_or("default")))
        .collect();
    let text = fs::read_to_string(path).unwrap();
    let documents =
        serde_yaml::Deserializer::from_str(&text).map(|one| serde_yaml::Value::deserialize(one).unwrap());
    let is_taken = |document: &serde_yaml::Value| {
        let own = ["type", "mesh", "name"].map(|field| document[field].as_str().unwrap_or("default"));
        !document.is_null() && !refused.contains(&own)
    };
    let taken: Vec<String> =
        documents.filter(is_taken).map(|document| serde_yaml::to_string(&document).unwrap()).collect();
    taken.join("---\n")
}

/// What this program does otherwise.
fn agrees(outbound: &Value, ours: Option<&Destination>) -> Result<(), String> {
    let mut backends = outbound["backends"].as_array().into_iter().flatten();
    let is_tls = backends.any(|backend| backend["tls"] == true);
    let Some(ours) = ours else {
        return if outbound["listener"] == "none" { Ok(()) } else { Err("no such outbound".to_owned()) };
    };
    let shares = our_shares(ours);
    let agrees = match (outbound["listener"].as_str().unwrap(), ours.action) {
        ("http" | "none", action) => action == Action::Passthrough,
        ("tcp", action) if is_tls => action == Action::Passthrough,
        (_, Action::Passthrough) => false,
        ("empty", Action::Route) => shares.iter().all(|(_, endpoints)| endpoints.is_empty()),
        (_, Action::Route) => {
            let his = shares_of(outbound);
            let is_name = |endpoint: &String| endpoint.parse::<SocketAddr>().is_err();
            if his.iter().flat_map(|(_, endpoints)| endpoints).any(is_name) {
                // Nobody answers for names here.
                his.iter().map(|(share, _)| *share).eq(shares.iter().map(|(share, _)| *share))
            } else {
                his == shares
            }
        }
    };
    if agrees { Ok(()) } else { Err(format!("{:?} {shares:?}: {}", ours.action, ours.reason)) }
}

fn our_shares(destination: &Destination) -> Shares {
    let backends = destination.backends.iter().map(|backend| {
        let endpoints = backend.endpoints.iter().map(ToString::to_string);
        (u64::from(backend.weight.get()), endpoints.collect())
    });
    shares(backends.collect())
}

fn shares_of(outbound: &Value) -> Shares {
    let backends = outbound["backends"].as_array().into_iter().flatten().map(|backend| {
        let endpoints = backend["endpoints"].as_array().into_iter().flatten().filter_map(Value::as_str);
        (backend["weight"].as_u64().unwrap(), endpoints.map(bracketed).collect())
    });
    shares(backends.collect())
}

/// The record has IPv6 addresses without brackets.
fn bracketed(endpoint: &str) -> String {
    let (host, port) = endpoint.rsplit_once(':').unwrap();
    host.parse::<IpAddr>()
        .ok()
        .map_or(endpoint.to_owned(), |ip| SocketAddr::new(ip, port.parse().unwrap()).to_string())
}

/// From weights to shares; what has no weight is in neither.
fn shares(weighted: Vec<(u64, Vec<String>)>) -> Shares {
    let sum: u64 = weighted.iter().map(|(weight, _)| weight).sum();
    let all = weighted.into_iter().filter(|(weight, _)| *weight > 0);
    let all = all.map(|(weight, mut endpoints)| {
        endpoints.sort();
        (weight * 1_000_000_000 / sum, endpoints)
    });
    all.collect()
}
