//! The semantics of MeshTCPRoute, rule by rule, on resources as they are written.

mod backends;
mod descriptions;
mod endpoints;
mod explanations;
mod given_up;
mod guard;
mod identities;
mod json;
mod kubernetes;
mod later;
mod lists;
mod model;
mod outbounds;
mod properties;
mod proxy;
mod selection;
mod traffic;
mod updates;
mod zones;

use std::{fmt::Write, sync::Arc};

use super::*;
use crate::{
    resources::{MeshName, Resources, ServiceBy},
    sources,
};

/// A Dataplane `web` that dials `db` at 127.0.0.1:1000, and whatever else the test adds.
const WEB: &str = "
type: Dataplane
name: web
networking:
  address: 10.0.0.1
  inbound:
    - {port: 80, tags: {kuma.io/service: web, team: a}}
    - {port: 81, tags: {kuma.io/service: web-admin, team: b}}
  outbound:
    - {port: 1000, tags: {kuma.io/service: db}}
";

fn resources(texts: &[&str]) -> Resources {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("all.yaml");
    std::fs::write(&path, texts.join("\n---\n")).unwrap();
    sources::load(&[path], sources::Strictness::Strict).unwrap_or_else(|errors| panic!("{errors}"))
}

fn dns() -> DnsAnswers {
    let dual_stack = ["192.0.2.7", "2001:db8::7"].map(|ip| ip.parse().unwrap()).to_vec();
    DnsAnswers::from([("db.example.com".to_owned(), dual_stack)])
}

fn resolver(texts: &[&str], options: Options) -> Resolver {
    Resolver::new(resources(texts), dns(), options)
}

/// As the agent does it. Whether any route leads elsewhere.
fn refresh(
    resolver: &mut Resolver,
    routes: &mut DataplaneRoutes,
    update: &Update,
) -> Result<bool, UnknownDataplane> {
    let refreshed = resolver.refresh(routes, update)?;
    let touched = refreshed.is_touched();
    if let Some(after) = refreshed.routes() {
        *routes = after;
    }
    Ok(touched)
}

fn resolve_with(texts: &[&str], options: Options) -> DataplaneRoutes {
    resolver(texts, options).resolve(&MeshName::default(), "web").unwrap()
}

fn resolve(texts: &[&str]) -> DataplaneRoutes {
    resolve_with(texts, Options::default())
}

/// `db` behind one endpoint for each `(last byte of the address, more tags)`.
fn db(endpoints: &[(u8, &str)]) -> String {
    let mut text = String::new();
    for (last, tags) in endpoints {
        write!(
            text,
            "type: Dataplane\nname: db-{last}\nnetworking:\n  address: 10.0.1.{last}\n  inbound:\n    \
             - {{port: 5432, tags: {{kuma.io/service: db{tags}}}}}\n---\n"
        )
        .unwrap();
    }
    text
}

/// A MeshTCPRoute for `target`, to `db`, with these backendRefs.
fn route(name: &str, target: &str, refs: &str) -> String {
    let rules = if refs.is_empty() {
        String::new()
    } else {
        format!("rules: [{{default: {{backendRefs: [{refs}]}}}}]")
    };
    format!(
        "type: MeshTCPRoute\nname: {name}\nspec:\n  targetRef: {target}\n  to:\n    \
         - targetRef: {{kind: MeshService, name: db}}\n      {rules}\n"
    )
}

fn to(service: &str) -> String {
    format!("{{kind: MeshService, name: {service}}}")
}

fn name(backend: &ResolvedBackend) -> String {
    match &backend.target.service.by {
        ServiceBy::Name(name, _) => name.to_string(),
        ServiceBy::Labels(labels) => format!("{labels:?}"),
    }
}

fn backends(routes: &DataplaneRoutes) -> Vec<(String, f64, Vec<String>)> {
    let endpoints = |backend: &ResolvedBackend| backend.endpoints.iter().map(ToString::to_string).collect();
    let backends = &routes.routes[0].destination.backends;
    backends.iter().map(|backend| (name(backend), backend.share, endpoints(backend))).collect()
}

fn first_backend(routes: &DataplaneRoutes) -> String {
    backends(routes)[0].0.clone()
}

const MESH: &str = "{kind: Mesh}";
const SUBSET: &str = "{kind: MeshSubset, tags: {team: a}}";
const SERVICE: &str = "{kind: MeshService, name: web}";
const SERVICE_SUBSET: &str = "{kind: MeshServiceSubset, name: web, tags: {team: a}}";

const LATEST: Options = Options {
    compat: Compat::Latest,
    allow_mtls_bypass: false,
    guard: Guard::DEFAULT,
    in_cluster: false,
    kept: KeptKinds::DEFAULT,
};
const V3: Options = Options {
    compat: Compat::V3,
    allow_mtls_bypass: false,
    guard: Guard::DEFAULT,
    in_cluster: false,
    kept: KeptKinds::DEFAULT,
};

const EXTERNAL: &str = "
type: ExternalService
name: db-outside
tags: {kuma.io/service: outside}
networking: {address: 'db.example.com:5432'}
";
