//! The rules of both versions of Kuma, written down once more and as simply as can be, and compared with the resolver
//! on random meshes. `rules` is the model, `generate` makes the meshes, and `written` writes them as people do.

mod generate;
mod rules;
mod written;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use rules::Verdict;

/// Tags or labels.
type Pairs = BTreeMap<String, String>;

/// A mesh with all that is in it.
#[derive(Debug, Clone)]
struct Mesh {
    /// Whether the rules are those of 2.6 and later.
    later: bool,
    dataplanes: Vec<Workload>,
    externals: Vec<External>,
    services: Vec<Service>,
    tcp: Vec<Policy>,
    http: Vec<Policy>,
}

#[derive(Debug, Clone)]
struct Workload {
    name: String,
    labels: Pairs,
    address: String,
    advertised: Option<String>,
    inbounds: Vec<Served>,
    /// The tags of a gateway, which has no inbounds.
    gateway: Option<Pairs>,
    /// Dialled at 127.0.0.1.
    outbounds: Vec<Dialled>,
}

#[derive(Debug, Clone)]
struct Served {
    port: u16,
    name: Option<String>,
    address: Option<String>,
    tags: Pairs,
    /// By a health check.
    healthy: bool,
    /// By its `state`.
    ready: bool,
}

#[derive(Debug, Clone)]
struct Dialled {
    port: u16,
    tags: Pairs,
}

#[derive(Debug, Clone)]
struct External {
    name: String,
    tags: Pairs,
    address: String,
    tls: bool,
}

/// A MeshService with one port.
#[derive(Debug, Clone)]
struct Service {
    name: String,
    labels: Pairs,
    selector: Pairs,
    port: u16,
    port_name: Option<String>,
    target: u16,
    protocol: String,
    vip: String,
    /// The second of its creation.
    created: u8,
}

#[derive(Debug, Clone)]
struct Policy {
    name: String,
    labels: Pairs,
    top: Top,
    /// `Sidecar` or `Gateway`, if it is for one of them only.
    proxies: Option<&'static str>,
    to: Vec<(Destination, Vec<Reference>)>,
}

#[derive(Debug, Clone)]
enum Top {
    Mesh,
    DataplaneName(String),
    DataplaneLabels(Pairs),
    MeshSubset(Pairs),
    MeshService(String),
    MeshServiceSubset(String, Pairs),
}

#[derive(Debug, Clone)]
enum Destination {
    Name(String, Option<String>),
    Labels(Pairs, Option<String>),
}

#[derive(Debug, Clone)]
struct Reference {
    to: Backend,
    weight: Option<u32>,
}

#[derive(Debug, Clone)]
enum Backend {
    MeshService(String),
    MeshServiceSubset(String, Pairs),
    Port(String, u16),
    PortOfLabels(Pairs, u16),
}

/// What the resolver says of a route, in the words of the model.
fn verdict(destination: &super::Destination) -> Verdict {
    match destination.action {
        Action::Passthrough => Verdict::Proxy,
        Action::Route => {
            let backends = destination.backends.iter().filter(|backend| backend.weight.get() > 0);
            let backend = |backend: &ResolvedBackend| {
                let endpoints = backend.endpoints.iter().map(ToString::to_string).collect();
                (backend.weight.get(), endpoints)
            };
            Verdict::Route(backends.map(backend).collect())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_resolver_does_as_the_rules_say(mesh in generate::mesh()) {
        let compat = if mesh.later { Compat::Latest } else { Compat::V2_4 };
        let text = written::yaml(&mesh);
        let mut resolver = resolver(&[&text], Options { compat, ..Options::default() });
        for workload in &mesh.dataplanes {
            let routes = resolver.resolve(&MeshName::default(), &workload.name).unwrap();
            let ours: BTreeMap<String, Verdict> =
                routes.routes.iter().map(|route| (route.dialled.to_string(), verdict(&route.destination))).collect();
            let expected = rules::routes(&mesh, workload);
            prop_assert_eq!(ours, expected, "{} in\n{}", workload.name, text);
        }
    }
}
