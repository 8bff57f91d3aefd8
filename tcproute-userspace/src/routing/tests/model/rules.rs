//! The rules. Nothing here is fast, and nothing is shared with what it is compared with.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{Backend, Destination, External, Mesh, Pairs, Policy, Reference, Served, Service, Top, Workload};

const SERVICE: &str = "kuma.io/service";
const PROTOCOL: &str = "kuma.io/protocol";

/// What becomes of the connections to an outbound.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// They are left to the proxy.
    Proxy,
    /// They are split by weights, each part over its endpoints. Without weights, or without endpoints, they are
    /// refused.
    Route(Vec<(u32, Vec<String>)>),
}

/// Something that is dialled.
enum Target<'a> {
    /// Whatever has a tag; with the further tags of the outbound.
    Tag(&'a str, &'a Pairs),
    /// The port of a MeshService.
    Port(&'a Service),
}

/// Where a workload gets to, by what it dials.
pub(super) fn routes(mesh: &Mesh, from: &Workload) -> BTreeMap<String, Verdict> {
    let mut routes = BTreeMap::new();
    for outbound in &from.outbounds {
        let target = Target::Tag(&outbound.tags[SERVICE], &outbound.tags);
        routes.insert(format!("127.0.0.1:{}", outbound.port), verdict(mesh, from, &target));
    }
    for service in &mesh.services {
        routes
            .insert(format!("{}:{}", service.vip, service.port), verdict(mesh, from, &Target::Port(service)));
    }
    routes
}

fn verdict(mesh: &Mesh, from: &Workload, target: &Target<'_>) -> Verdict {
    let protocol = protocol(mesh, target);
    let about = |policies| strongest(mesh, from, target, policies);
    let (tcp, http) = (about(&mesh.tcp), about(&mesh.http));
    // Requests are for the proxy, unless there is a MeshTCPRoute and no MeshHTTPRoute.
    if ["http", "http2", "grpc"].contains(&protocol.as_str()) && (tcp.is_none() || http.is_some()) {
        return Verdict::Proxy;
    }
    // In 2.4 a MeshHTTPRoute to services of http makes it one of requests, if there is no MeshTCPRoute.
    if let (false, None, Some((_, http))) = (mesh.later, tcp, http) {
        let weighted: Vec<&Reference> = http.iter().filter(|reference| reference.weight != Some(0)).collect();
        let is_http = |reference: &&Reference| match &reference.to {
            Backend::MeshService(name) | Backend::MeshServiceSubset(name, _) => {
                ["http", "http2"].contains(&self::protocol(mesh, &Target::Tag(name, &Pairs::new())).as_str())
            }
            Backend::Port(..) | Backend::PortOfLabels(..) => false,
        };
        if !weighted.is_empty() && weighted.iter().all(is_http) {
            return Verdict::Proxy;
        }
    }
    let Some((policy, refs)) = tcp else {
        // The destination itself; the outbound's own tags choose among its endpoints.
        return match target {
            Target::Tag(name, tags) => route(mesh, vec![(1, tag_endpoints(mesh, name, tags))]),
            Target::Port(service) => route(mesh, vec![(1, port_endpoints(mesh, service))]),
        };
    };
    let mut parts = Vec::new();
    let mut known_to_the_proxy = false;
    for Reference { to, weight } in refs {
        let endpoints = match to {
            Backend::MeshService(name) => Some(tag_endpoints(mesh, name, &Pairs::new())),
            Backend::MeshServiceSubset(name, tags) => Some(tag_endpoints(mesh, name, tags)),
            // A port that is not there drops out, and its share goes to the others.
            Backend::Port(name, port) => {
                known_to_the_proxy = true;
                let is_meant = |service: &&Service| {
                    is_of_its_zone(policy) && service.name == *name && service.port == *port
                };
                let service = mesh.services.iter().find(is_meant);
                service.map(|service| port_endpoints(mesh, service))
            }
            Backend::PortOfLabels(labels, port) => {
                let fitting = mesh.services.iter().filter(|service| has(&service.labels, labels, false));
                let oldest = fitting.min_by_key(|service| service.created);
                known_to_the_proxy |= oldest.is_some();
                oldest.filter(|service| service.port == *port).map(|service| port_endpoints(mesh, service))
            }
        };
        known_to_the_proxy |= matches!(to, Backend::MeshService(_) | Backend::MeshServiceSubset(..));
        parts.extend(endpoints.map(|endpoints| (weight.unwrap_or(1), endpoints)));
    }
    // Labels that nothing has are not even a reference.
    if !known_to_the_proxy {
        return Verdict::Proxy;
    }
    route(mesh, parts)
}

/// An endpoint: where it is, and whether the proxy speaks TLS to it.
type Endpoint = (String, bool);

fn route(_: &Mesh, parts: Vec<(u32, Vec<Endpoint>)>) -> Verdict {
    let weighted: Vec<(u32, Vec<Endpoint>)> = parts.into_iter().filter(|(weight, _)| *weight > 0).collect();
    if weighted.iter().flat_map(|(_, endpoints)| endpoints).any(|(_, tls)| *tls) {
        return Verdict::Proxy;
    }
    let addresses = |(weight, endpoints): (u32, Vec<Endpoint>)| {
        let mut addresses: Vec<(std::net::SocketAddr, String)> =
            endpoints.into_iter().map(|(address, _)| (address.parse().unwrap(), address)).collect();
        addresses.sort();
        addresses.dedup();
        (weight, addresses.into_iter().map(|(_, address)| address).collect())
    };
    Verdict::Route(weighted.into_iter().map(addresses).collect())
}

// Which policy holds.

/// The strongest policy that is in force for a workload and about what it dials, with what it says of that.
fn strongest<'w>(
    mesh: &Mesh,
    from: &Workload,
    target: &Target<'_>,
    policies: &'w [Policy],
) -> Option<(&'w Policy, &'w [Reference])> {
    let mut entries = Vec::new();
    for policy in policies.iter().filter(|policy| selects(mesh, policy, from)) {
        for (i, (destination, refs)) in policy.to.iter().enumerate() {
            if is_about(mesh, policy, destination, target) {
                entries.push((policy, destination, i, refs));
            }
        }
    }
    let by_port = matches!(target, Target::Port(_));
    entries.sort_by(|a, b| stronger(mesh.later, by_port, (a.0, a.1), (b.0, b.1)).then(a.2.cmp(&b.2)));
    entries.last().map(|(policy, _, _, refs)| (*policy, refs.as_slice()))
}

fn selects(mesh: &Mesh, policy: &Policy, workload: &Workload) -> bool {
    if policy.labels.get("kuma.io/effect").is_some_and(|effect| effect == "shadow") {
        return false;
    }
    let is_gateway = workload.gateway.is_some();
    if mesh.later && policy.proxies.is_some_and(|proxies| (proxies == "Gateway") != is_gateway) {
        return false;
    }
    // The tags of one inbound; those of a gateway count since 2.6.
    let mut tags: Vec<&Pairs> = workload.inbounds.iter().map(|inbound| &inbound.tags).collect();
    if mesh.later {
        tags.extend(&workload.gateway);
    }
    let any = |wanted: &Pairs| tags.iter().any(|own| has(own, wanted, true));
    match &policy.top {
        Top::Mesh => any(&Pairs::new()),
        Top::DataplaneName(name) => is_of_its_zone(policy) && *name == workload.name,
        Top::DataplaneLabels(labels) => has(&workload.labels, labels, false),
        Top::MeshSubset(tags) => any(tags),
        Top::MeshService(name) => any(&of_service(name, &Pairs::new())),
        Top::MeshServiceSubset(name, tags) => any(&of_service(name, tags)),
    }
}

/// A name alone means what is of the policy's own zone, and all resources here are of one. A policy of the global
/// control plane is of none.
fn is_of_its_zone(policy: &Policy) -> bool {
    policy.labels.get("kuma.io/origin").is_none_or(|origin| origin != "global")
}

fn is_about(mesh: &Mesh, policy: &Policy, destination: &Destination, target: &Target<'_>) -> bool {
    match (destination, target) {
        // Whatever port it names, it is about the tag.
        (Destination::Name(name, _), Target::Tag(tag, _)) => name == tag,
        (Destination::Labels(..), Target::Tag(..)) => false,
        (_, Target::Port(_)) if !mesh.later => false,
        (Destination::Name(name, section), Target::Port(service)) => {
            is_of_its_zone(policy) && *name == service.name && is_section(section.as_deref(), service)
        }
        (Destination::Labels(labels, section), Target::Port(service)) => {
            has(&service.labels, labels, false) && is_section(section.as_deref(), service)
        }
    }
}

fn is_section(section: Option<&str>, service: &Service) -> bool {
    let own = service.port_name.clone().unwrap_or_else(|| service.port.to_string());
    section.is_none_or(|section| section == own)
}

/// From weak to strong.
fn stronger(later: bool, by_port: bool, a: (&Policy, &Destination), b: (&Policy, &Destination)) -> Ordering {
    let kind = |policy: &Policy| match policy.top {
        Top::Mesh => 0,
        Top::DataplaneLabels(_) => 1,
        Top::DataplaneName(_) => 2,
        Top::MeshSubset(_) => 3,
        Top::MeshService(_) => 4,
        Top::MeshServiceSubset(..) => 5,
    };
    let by_kind = kind(a.0).cmp(&kind(b.0));
    if !later {
        // The greater name.
        return by_kind.then(a.0.name.cmp(&b.0.name));
    }
    let origin = |policy: &Policy| match policy.labels.get("kuma.io/origin").map(String::as_str) {
        Some("global") => 0,
        Some("zone") => 2,
        _ => 1,
    };
    // A port of a resource is more than all of it.
    let section = |destination: &Destination| match destination {
        Destination::Name(_, section) | Destination::Labels(_, section) => by_port && section.is_some(),
    };
    by_kind
        .then(origin(a.0).cmp(&origin(b.0)))
        .then(section(a.1).cmp(&section(b.1)))
        // The lesser name.
        .then(b.0.name.cmp(&a.0.name))
}

// Endpoints.

/// The endpoints of a tag, or those of them that have more tags.
fn tag_endpoints(mesh: &Mesh, name: &str, tags: &Pairs) -> Vec<Endpoint> {
    let externals = externals(mesh, name);
    let served = served(mesh, name);
    // Never both: 2.4 prefers those outside the mesh, later versions those within. Tags do not choose among those
    // outside.
    if (!mesh.later && !externals.is_empty()) || served.is_empty() {
        return externals.iter().map(|external| (external.address.clone(), external.tls)).collect();
    }
    let fitting = served.into_iter().filter(|(_, inbound)| has(&inbound.tags, tags, false));
    fitting.map(|(workload, inbound)| (address(workload, inbound), false)).collect()
}

/// The endpoints of a port: all inbounds at its target of the workloads that have its tags on one of their inbounds.
fn port_endpoints(mesh: &Mesh, service: &Service) -> Vec<Endpoint> {
    let is_selected = |workload: &&Workload| {
        let ready = || workload.inbounds.iter().filter(|inbound| is_ready(mesh, inbound));
        let each =
            |(key, value): (&String, &String)| ready().any(|inbound| inbound.tags.get(key) == Some(value));
        let together = workload.inbounds.iter().any(|inbound| has(&inbound.tags, &service.selector, true));
        service.selector.iter().all(each) && together
    };
    let mut endpoints = Vec::new();
    for workload in mesh.dataplanes.iter().filter(is_selected) {
        for inbound in workload.inbounds.iter().filter(|inbound| is_ready(mesh, inbound)) {
            if inbound.port == service.target {
                endpoints.push((address(workload, inbound), false));
            }
        }
    }
    endpoints
}

fn externals<'w>(mesh: &'w Mesh, name: &str) -> Vec<&'w External> {
    mesh.externals.iter().filter(|external| external.tags[SERVICE] == name).collect()
}

fn served<'w>(mesh: &'w Mesh, name: &str) -> Vec<(&'w Workload, &'w Served)> {
    let all = mesh.dataplanes.iter();
    let all = all.flat_map(|workload| workload.inbounds.iter().map(move |inbound| (workload, inbound)));
    all.filter(|(_, inbound)| inbound.tags[SERVICE] == name && is_ready(mesh, inbound)).collect()
}

fn is_ready(mesh: &Mesh, inbound: &Served) -> bool {
    inbound.healthy && (inbound.ready || !mesh.later)
}

/// The advertised address, then the inbound's own, then the workload's.
fn address(workload: &Workload, inbound: &Served) -> String {
    let own = inbound.address.as_ref().unwrap_or(&workload.address);
    format!("{}:{}", workload.advertised.as_ref().unwrap_or(own), inbound.port)
}

// Protocols.

fn protocol(mesh: &Mesh, target: &Target<'_>) -> String {
    let name = match target {
        Target::Port(service) => return service.protocol.clone(),
        Target::Tag(name, _) => name,
    };
    let within: Vec<&Pairs> = served(mesh, name).into_iter().map(|(_, inbound)| &inbound.tags).collect();
    let outside: Vec<&Pairs> = externals(mesh, name).into_iter().map(|external| &external.tags).collect();
    // In 2.4 all have a say, also those that are no endpoints.
    let all = match mesh.later {
        true if !within.is_empty() => within,
        true => outside,
        false => [within, outside].concat(),
    };
    let mut common: Option<String> = None;
    for tags in all {
        let own = tags.get(PROTOCOL).cloned().unwrap_or_default();
        common = Some(match common {
            None => own,
            Some(other) => highest_common(&other, &own),
        });
    }
    common.filter(|common| !common.is_empty()).unwrap_or_else(|| "tcp".to_owned())
}

/// Of what each protocol is carried by, the highest that is the same.
fn highest_common(a: &str, b: &str) -> String {
    if a == b {
        return a.to_owned();
    }
    let stack = |protocol: &str| match protocol {
        "http" => vec!["http", "tcp"],
        "http2" => vec!["http2", "tcp"],
        "grpc" => vec!["grpc", "http2", "tcp"],
        "kafka" => vec!["kafka", "tcp"],
        "tcp" => vec!["tcp"],
        _ => vec![],
    };
    let other = stack(b);
    stack(a).into_iter().find(|protocol| other.contains(protocol)).unwrap_or_default().to_owned()
}

// Tags.

fn of_service(name: &str, tags: &Pairs) -> Pairs {
    let mut tags = tags.clone();
    tags.insert(SERVICE.to_owned(), name.to_owned());
    tags
}

/// Whether all wanted pairs are there; in a selector a star is any value.
fn has(own: &Pairs, wanted: &Pairs, star: bool) -> bool {
    wanted.iter().all(|(key, value)| own.get(key).is_some_and(|own| own == value || (star && value == "*")))
}
