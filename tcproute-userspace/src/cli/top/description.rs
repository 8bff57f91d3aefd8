//! What is known of one route: as `/v1/routes` tells it, and what was counted.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use super::{
    app::App,
    screen::text::{latency, per_second},
};
use crate::{
    cli::output::percent,
    escaped::Escaped,
    routing::Plaintext,
    top::{Backend, Row},
};

/// So many endpoints of a backendRef are shown.
const SHOWN: usize = 50;

/// The routes of a Dataplane, as they are told.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Described {
    mesh: String,
    dataplane: String,
    compat: String,
    routes: Vec<DescribedRoute>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribedRoute {
    address: IpAddr,
    port: u16,
    protocol: String,
    action: String,
    reason: String,
    policies: Vec<String>,
    backends: Vec<DescribedBackend>,
    #[serde(default)]
    not_enforced: Vec<String>,
    plaintext: Option<Plaintext>,
}

#[derive(Debug, Clone, Deserialize)]
struct DescribedBackend {
    endpoints: Vec<SocketAddr>,
}

impl Described {
    pub(super) fn is_of(&self, mesh: &str, dataplane: &str) -> bool {
        self.mesh == mesh && self.dataplane == dataplane
    }

    /// Of the route to this address.
    pub(super) fn place(&self, dialled: SocketAddr) -> Option<usize> {
        self.routes.iter().position(|route| SocketAddr::new(route.address, route.port) == dialled)
    }
}

/// The lines of a description, each escaped.
pub(super) fn lines(app: &App, row: &Row) -> Vec<String> {
    let key = &row.key;
    let mut lines = vec![format!(
        "{} at {}, dialled by {} of mesh {} in {}",
        row.service,
        key.dialled,
        key.dataplane,
        key.mesh,
        key.cgroup.display()
    )];
    let described = app.described(&key.mesh, &key.dataplane, key.dialled);
    let route = described.map(|(of, place)| &of.routes[place]);
    match (&app.routes, described, route) {
        (Some(Err(why)), ..) => lines.push(format!("what the route is made from is not known: {why}")),
        (None, ..) => lines.push("…".to_owned()),
        (Some(Ok(_)), Some((of, _)), Some(route)) => {
            let action = if route.action == "route" { "routed" } else { "left to the proxy" };
            lines.push(format!("{action}: {}", route.reason));
            let policies = match route.policies.as_slice() {
                [] => "none".to_owned(),
                policies => policies.join(" < "),
            };
            lines.push(format!("policies, weak to strong, in the order of {}: {policies}", of.compat));
            lines.push(format!(
                "protocol {}, backendRefs chosen by selection {}",
                route.protocol, row.selection
            ));
            if !route.not_enforced.is_empty() {
                lines.push(format!("not enforced there: {}", route.not_enforced.join(", ")));
            }
            lines.extend(route.plaintext.map(|plaintext| format!("plaintext: {}", plaintext.told())));
        }
        (Some(Ok(_)), ..) => lines.push("it is no route of the daemon any more".to_owned()),
    }
    for (place, backend) in row.backends.iter().enumerate() {
        let endpoints = route.and_then(|route| route.backends.get(place));
        backend_lines(&mut lines, backend, endpoints);
    }
    if let Some((of, _)) = described
        && !of.warnings.is_empty()
    {
        lines.push(String::new());
        lines.extend(of.warnings.iter().map(|warning| format!("warning: {warning}")));
    }
    lines.iter().map(|line| Escaped(line).to_string()).collect()
}

fn backend_lines(lines: &mut Vec<String>, backend: &Backend, described: Option<&DescribedBackend>) {
    lines.push(String::new());
    lines.push(backend.target.clone());
    let observed = backend.observed.map_or_else(|| "-".to_owned(), percent);
    let rate = backend.rate.map_or_else(|| "-".to_owned(), per_second);
    lines.push(format!(
        "  weight {}: {} configured, {observed} observed, {rate} conn/s, connect p50 {} p99 {}",
        backend.weight,
        percent(backend.share),
        latency(&backend.latency, 0.5),
        latency(&backend.latency, 0.99)
    ));
    for (cause, rate) in &backend.failures {
        lines.push(format!("  failing: {} {}/s", cause.name(), per_second(*rate)));
    }
    lines.push(match &backend.whole {
        Some(outcomes) => format!("  in all: {outcomes}"),
        None => "  not counted: the map has no entry left for it".to_owned(),
    });
    if let Some(DescribedBackend { endpoints }) = described {
        let is_in = |endpoint: &&SocketAddr| !backend.out.iter().any(|out| out.endpoint == **endpoint);
        let inside: Vec<String> =
            endpoints.iter().filter(is_in).take(SHOWN).map(ToString::to_string).collect();
        let whole = endpoints.iter().filter(is_in).count();
        let more = if whole > SHOWN { format!(" and {} more", whole - SHOWN) } else { String::new() };
        lines.push(match endpoints.len() {
            0 => "  no endpoint: its connections are refused".to_owned(),
            _ => format!("  in ({whole}): {}{more}", inside.join(" ")),
        });
    }
    for out in &backend.out {
        lines.push(format!("  out: {}, ejected until {:.0}", out.endpoint, out.until));
    }
}
