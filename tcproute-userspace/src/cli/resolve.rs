//! `tcproute resolve`: what the routes of a Dataplane are, and why. Needs no privilege and no kernel.

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::{
    Routing, complete,
    input::SourceArguments,
    output::{self, Named, OutputArguments, percent},
    text::Text,
};
use crate::{
    resources::{Key, MeshName, Resources},
    routing::{
        Action, Bypass, DataplaneRoutes, Explanation, Plaintext, ResolvedBackend, ResolvedRoute, Verdict,
    },
    sources::control_plane::Meshes,
};

/// So many endpoints of a backend are shown in a table that is not wide.
const SHOWN: usize = 3;

#[derive(Debug, Args)]
pub(super) struct Resolve {
    #[command(flatten)]
    sources: SourceArguments,
    /// The mesh of the Dataplane [default: default; with --all: every mesh]
    #[arg(long)]
    mesh: Option<MeshName>,
    /// The Dataplane whose routes are shown.
    #[arg(long, value_name = "NAME", required_unless_present = "all", add = complete::dataplanes())]
    dataplane: Option<String>,
    /// Show the routes of all Dataplanes.
    #[arg(long, conflicts_with = "dataplane")]
    all: bool,
    /// Show, for this service, every policy and why it did or did not win.
    #[arg(long, value_name = "SERVICE", add = complete::services())]
    explain: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    routing: Routing,
}

impl Resolve {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let mut resolver = self.routing.resolver(&self.sources, Meshes::only(&self.mesh)).await?;
        let mesh = self.mesh.clone().unwrap_or_default();
        match (&self.dataplane, &self.explain) {
            (Some(dataplane), None) => {
                let routes = resolver.resolve(&mesh, dataplane)?;
                output::print(&self.output, &routes, routes_table)?;
            }
            (Some(dataplane), Some(service)) => {
                let explanations = resolver.explain(&mesh, dataplane, service)?;
                output::print(&self.output, &explanations, |all, _| explanations_table(all))?;
            }
            (None, explain) => {
                let names = dataplanes(resolver.resources(), self.mesh.as_ref());
                if let Some(service) = explain {
                    let mut all = Vec::new();
                    for (mesh, name) in names {
                        // Not every Dataplane dials the service.
                        all.extend(resolver.explain(&mesh, &name.to_string(), service).unwrap_or_default());
                    }
                    output::print(&self.output, &all, |all, _| explanations_table(all))?;
                } else {
                    let resolve = |(mesh, name): &Key| resolver.resolve(mesh, &name.to_string());
                    let all = names.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
                    output::print(&self.output, &all, |all, wide| {
                        Text::blocks(all.iter().map(|routes| routes_table(routes, wide)))
                    })?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Named for DataplaneRoutes {
    fn names(&self) -> Vec<String> {
        let services = self.routes.iter().map(|route| format!("service/{}", route.destination.service));
        services.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl Named for Vec<DataplaneRoutes> {
    fn names(&self) -> Vec<String> {
        self.iter().map(|routes| format!("dataplane/{}", routes.dataplane)).collect()
    }
}

impl Named for Vec<Explanation> {
    fn names(&self) -> Vec<String> {
        let policies = self.iter().flat_map(|explanation| &explanation.policies);
        let concerned = policies.filter(|policy| policy.verdict != Verdict::NotConcerned);
        let names = concerned.map(|policy| format!("{}/{}", policy.kind.to_lowercase(), policy.name));
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The Dataplanes of a mesh, or of all.
pub(super) fn dataplanes(resources: &Resources, mesh: Option<&MeshName>) -> Vec<Key> {
    let keys = resources.dataplanes.keys();
    keys.filter(|(of, _)| mesh.is_none_or(|mesh| of == mesh)).cloned().collect()
}

fn routes_table(routes: &DataplaneRoutes, wide: bool) -> Text {
    let DataplaneRoutes { mesh, dataplane, compat, .. } = routes;
    let mut text =
        Text::of(format_args!("Dataplane {dataplane} of mesh {mesh}, policies in the order of {compat}"));
    text.gap();
    if routes.routes.is_empty() {
        text.line("no outbound");
    } else {
        let rows = routes.routes.iter().flat_map(|route| rows_of(route, wide));
        let headings =
            ["SERVICE", "ADDRESS", "PROTOCOL", "LEADS TO", "WEIGHT", "SHARE", "ENDPOINTS", "POLICIES"];
        text.table(&headings, &[4, 5], rows);
    }
    let warnings = routes.warnings();
    let bypassed = routes.not_enforced();
    if !warnings.is_empty() || !bypassed.is_empty() {
        text.gap();
    }
    text.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
    if !bypassed.is_empty() {
        let policies: Vec<&str> = bypassed.into_keys().collect();
        text.line(format_args!("not enforced on connections that bypass the proxy: {}", policies.join(", ")));
    }
    for route in &routes.routes {
        if let Some((policies, plaintext)) = route.given_up(&routes.other_policies) {
            let (service, dialled) = (&route.destination.service, route.dialled);
            text.line(format_args!("  {service} at {dialled}: {}", given_up(&policies, plaintext)));
        }
    }
    text
}

/// What connections that bypass the proxy go without, and what servers make of them.
fn given_up(not_enforced: &[&str], plaintext: Plaintext) -> String {
    let policies = if not_enforced.is_empty() { "no policy".to_owned() } else { not_enforced.join(", ") };
    format!("gives up {policies}; {}", plaintext.told())
}

/// The first row of a route says what it is, and each backend has a row.
fn rows_of(route: &ResolvedRoute, wide: bool) -> Vec<Vec<String>> {
    let destination = &route.destination;
    let head = [destination.service.to_string(), route.dialled.to_string(), destination.protocol.clone()];
    let policies = match destination.policies.as_slice() {
        [] => "none".to_owned(),
        policies => policies.join(" < "),
    };
    let mut backends = match destination.action {
        Action::Passthrough => {
            vec![[format!("the proxy: {}", destination.reason), String::new(), String::new(), String::new()]]
        }
        Action::Route => destination.backends.iter().map(|it| backend_row(it, wide)).collect(),
    };
    let mut rows = Vec::new();
    for (i, backend) in backends.drain(..).enumerate() {
        let mut row = if i == 0 { head.to_vec() } else { vec![String::new(); head.len()] };
        row.extend(backend);
        if i == 0 {
            row.push(policies.clone());
        }
        rows.push(row);
    }
    rows
}

fn backend_row(backend: &ResolvedBackend, wide: bool) -> [String; 4] {
    let most = if wide { usize::MAX } else { SHOWN };
    let endpoints = match backend.endpoints.len() {
        0 => "none: refused".to_owned(),
        count => {
            let shown: Vec<String> = backend.endpoints.iter().take(most).map(ToString::to_string).collect();
            let more = if count > most { format!(" and {} more", count - most) } else { String::new() };
            shown.join(" ") + &more
        }
    };
    [backend.target.to_string(), backend.weight.get().to_string(), percent(backend.share), endpoints]
}

fn explanations_table(explanations: &[Explanation]) -> Text {
    if explanations.is_empty() {
        return Text::of("no Dataplane dials it");
    }
    Text::blocks(explanations.iter().map(explanation_table))
}

fn explanation_table(explanation: &Explanation) -> Text {
    let Explanation { mesh, dataplane, compat, route, policies, everywhere } = explanation;
    let ResolvedRoute { dialled, destination } = route;
    let action = match destination.action {
        Action::Route => "routed",
        Action::Passthrough => "left to the proxy",
    };
    let mut text = Text::of(format_args!(
        "{} at {dialled} of Dataplane {dataplane} of mesh {mesh}, policies in the order of {compat}",
        destination.service
    ));
    text.line(format_args!("{action}: {}", destination.reason));
    if let Some(Bypass { plaintext, .. }) = &destination.bypass {
        text.line(given_up(&route.not_enforced(everywhere), *plaintext));
    }
    text.gap();
    for denied in &destination.denied {
        text.line(format_args!("warning: {denied}"));
    }
    if !destination.denied.is_empty() {
        text.gap();
    }
    if policies.is_empty() {
        text.line("there are no policies");
        return text;
    }
    let rows = policies.iter().map(|policy| {
        let verdict = match policy.verdict {
            Verdict::Wins => "wins",
            Verdict::Overridden => "overridden",
            Verdict::Covers => "covers",
            Verdict::Shadow => "shadow",
            Verdict::NotConcerned => "not concerned",
        };
        let name = format!("{} {}", policy.kind, policy.name);
        vec![name, policy.target.clone(), verdict.to_owned(), policy.reason.clone()]
    });
    text.table(&["POLICY", "FOR", "VERDICT", "WHY"], &[], rows);
    text
}
