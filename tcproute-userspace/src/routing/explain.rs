//! Why a route is what it is: every policy that was considered, and why it did or did not win.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use serde::{Serialize, Serializer};
use thiserror::Error;

use super::{
    ResolvedRoute, Resolver, UnknownDataplane,
    destination::{DestinationKey, Dialled},
    find::find,
    policies::Entry,
    protocol,
    resolved::ShownRoute,
    resolver::LeftOut,
};
use crate::{
    policy::{Compat, Referrer, applies, merge, reaches_namespace, reaches_zone, selects},
    resources::{Dataplane, MeshName, MeshTcpRoute, Pairs, PolicyHeader, Rule, Selector, Tags, did_you_mean},
};

/// The policies behind the routes of a Dataplane to one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The Dataplane's mesh.
    pub mesh: MeshName,
    /// The Dataplane.
    pub dataplane: String,
    /// The order of policies that was in force.
    pub compat: Compat,
    /// Where the service is dialled, and where that leads.
    pub route: ResolvedRoute,
    /// Every policy: the one that wins first, then the others that apply from strong to weak, then the rest.
    pub policies: Vec<Considered>,
    /// The policies of other kinds about all that the Dataplane dials.
    pub(crate) everywhere: Arc<[String]>,
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            mesh: &'a MeshName,
            dataplane: &'a str,
            compat: Compat,
            route: ShownRoute<'a>,
            policies: &'a [Considered],
        }
        let Self { mesh, dataplane, compat, route, policies, everywhere } = self;
        let route = ShownRoute { route, everywhere };
        Shown { mesh, dataplane, compat: *compat, route, policies }.serialize(serializer)
    }
}

/// A policy and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// `MeshTCPRoute` or `MeshHTTPRoute`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The proxies it is for.
    pub target: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// What became of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The route is as it says.
    Wins,
    /// A stronger one says something else.
    Overridden,
    /// It keeps connections at the proxy, if the protocol is one of requests.
    Covers,
    /// It is only tried out, and never in force.
    Shadow,
    /// It does not speak of this Dataplane or not of this service.
    NotConcerned,
}

/// A service is asked about that cannot be explained.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UnknownService {
    /// The Dataplane is not there.
    #[error(transparent)]
    Dataplane(#[from] UnknownDataplane),
    /// The Dataplane does not dial it.
    #[error("Dataplane {dataplane} has no outbound to a service {service:?}{hint}")]
    Service {
        /// The Dataplane.
        dataplane: String,
        /// What was asked for.
        service: String,
        /// What may have been meant.
        hint: String,
    },
}

impl Resolver {
    /// Explains each route of a Dataplane to a service.
    pub fn explain(
        &mut self,
        mesh: &MeshName,
        dataplane: &str,
        service: &str,
    ) -> Result<Vec<Explanation>, UnknownService> {
        let dataplane = Arc::clone(find(self.resources(), mesh, dataplane)?);
        let mut left_out = LeftOut::default();
        let outbounds = self.outbounds(&dataplane, &mut left_out);
        let wanted: Vec<(SocketAddr, Dialled)> = outbounds
            .iter()
            .filter(|(_, dialled)| **self.services.name(dialled.service) == *service)
            .cloned()
            .collect();
        if wanted.is_empty() {
            let known = outbounds.iter().map(|(_, dialled)| &**self.services.name(dialled.service));
            let denied = left_out.denied.iter().find(|denied| *denied.service == *service);
            let hint = match denied {
                Some(denied) => format!(": {denied}"),
                None => did_you_mean(service, known),
            };
            return Err(UnknownService::Service {
                dataplane: dataplane.name.to_string(),
                service: service.to_owned(),
                hint,
            });
        }
        Ok(self.explanations(&dataplane, wanted, Self::considered))
    }

    /// Explains these routes of a Dataplane by the policies that are considered.
    pub(super) fn explanations(
        &mut self,
        dataplane: &Dataplane,
        wanted: Vec<(SocketAddr, Dialled)>,
        considered: impl Fn(&Self, &Dataplane, &DestinationKey) -> Vec<Considered>,
    ) -> Vec<Explanation> {
        let resources = self.resources().clone();
        let dialler = self.dialler(&resources, dataplane);
        let everywhere = self.other_policies(dataplane);
        let explain = |(address, dialled): (SocketAddr, Dialled)| {
            let key = self.key(&dialler, dialled.clone());
            let destination = self.destination(&dialler, dialled);
            Explanation {
                mesh: dataplane.mesh.clone(),
                dataplane: dataplane.name.to_string(),
                compat: self.options().compat,
                route: ResolvedRoute { dialled: address, destination },
                policies: considered(self, dataplane, &key),
                everywhere: Arc::clone(&everywhere),
            }
        };
        wanted.into_iter().map(explain).collect()
    }

    /// The MeshTCPRoutes about a service that apply: the one that wins first.
    pub(super) fn applying(&self, key: &DestinationKey) -> Vec<Considered> {
        self.verdicts(&key.entries, self.services.port(key.dialled.service).is_some())
    }

    fn considered(&self, dataplane: &Dataplane, key: &DestinationKey) -> Vec<Considered> {
        let mut considered = self.applying(key);
        let applying: BTreeSet<String> = considered.iter().map(|policy| policy.name.clone()).collect();
        let chosen = self.services.chosen(key.dialled.service, key.zone.as_deref());
        let is_http = protocol::is_http(self.services.protocol(key.dialled.service, &chosen));
        for policy in self.resources().http_routes.values() {
            let header = &policy.header;
            let covers = key.http.iter().any(|entry| Arc::ptr_eq(&entry.policy, policy));
            let (verdict, reason) = if covers {
                let effect = if is_http {
                    "its protocol is one of requests"
                } else {
                    "without effect: its protocol is not one of requests"
                };
                (Verdict::Covers, format!("covers the service; {effect}"))
            } else {
                self.not_concerned(header, &policy.selector, dataplane)
            };
            considered.push(one("MeshHTTPRoute", header, &policy.selector, verdict, reason));
        }
        for policy in self.resources().tcp_routes.values() {
            let header = &policy.header;
            if header.mesh == dataplane.mesh && applying.contains(&header.name.to_string()) {
                continue;
            }
            let (verdict, reason) = self.not_concerned(header, &policy.selector, dataplane);
            considered.push(one("MeshTCPRoute", header, &policy.selector, verdict, reason));
        }
        considered
    }

    /// What became of the entries that apply, given from weak to strong: the one that wins first.
    fn verdicts(&self, entries: &[Entry<MeshTcpRoute>], of_port: bool) -> Vec<Considered> {
        let compat = self.options().compat;
        let (_, winner) = merge(entries.iter().map(|entry| &entry.to().rule));
        let verdict = |(i, entry): (usize, &Entry<MeshTcpRoute>)| {
            let says = match &entry.to().rule {
                Rule::Itself => "names the service without rules: the destination itself",
                Rule::Backends(_) => "has backendRefs",
            };
            let (verdict, reason) = match winner.filter(|winner| *winner != i) {
                None => (Verdict::Wins, format!("the strongest; it {says}")),
                Some(winner) => {
                    let by = &entries[winner];
                    let deciding = compat.deciding(&by.strength(of_port), &entry.strength(of_port));
                    let by = &by.policy.header.name;
                    (Verdict::Overridden, format!("{by} is stronger by {deciding}"))
                }
            };
            one("MeshTCPRoute", &entry.policy.header, &entry.policy.selector, verdict, reason)
        };
        let mut considered: Vec<Considered> = entries.iter().enumerate().rev().map(verdict).collect();
        considered.sort_by_key(|policy| policy.verdict != Verdict::Wins);
        considered
    }

    /// Why a policy plays no part.
    pub(super) fn not_concerned(
        &self,
        policy: &PolicyHeader,
        selector: &Selector,
        dataplane: &Dataplane,
    ) -> (Verdict, String) {
        let compat = self.options().compat;
        let reason = if policy.mesh != dataplane.mesh {
            format!("is of mesh {}", policy.mesh)
        } else if policy.shadow {
            return (Verdict::Shadow, "a shadow policy: nothing is routed by it".to_owned());
        } else if applies(compat, policy, selector, dataplane) {
            "does not name the service".to_owned()
        } else {
            why_not(compat, policy, selector, dataplane)
        };
        (Verdict::NotConcerned, reason)
    }
}

fn one(
    kind: &'static str,
    header: &PolicyHeader,
    selector: &Selector,
    verdict: Verdict,
    reason: String,
) -> Considered {
    Considered { kind, name: header.name.to_string(), target: selector.to_string(), verdict, reason }
}

fn why_not(compat: Compat, policy: &PolicyHeader, selector: &Selector, dataplane: &Dataplane) -> String {
    let name = &dataplane.name;
    let with = |tags: &Tags| {
        if tags.is_empty() { String::new() } else { format!(" with {}", Pairs(tags)) }
    };
    if compat.is_later() && !reaches_namespace(policy, dataplane) {
        return format!("is for the workloads of its own namespace, unlike {name}");
    }
    if compat.is_later() && !reaches_zone(policy, dataplane) {
        return format!("is of another zone than {name}");
    }
    if compat == Compat::V3 && !matches!(selector, Selector::Mesh | Selector::Dataplane(_)) {
        return "is for a kind of target that version 3 does not have".to_owned();
    }
    if selects(compat, selector, &Referrer::new(compat, &policy.meta), dataplane) {
        return format!("is for proxies of another type than that of {name}");
    }
    match selector {
        Selector::Mesh if dataplane.inbounds.is_empty() && dataplane.gateway.is_none() => {
            format!("selects through inbounds, of which {name} has none")
        }
        Selector::Mesh => format!("is not for proxies such as that of {name}"),
        Selector::Dataplane(_) => format!("does not select {name}"),
        Selector::MeshSubset(tags) => format!("no inbound of {name} has {}", Pairs(tags)),
        Selector::MeshService(service) => format!("no inbound of {name} is of service {service}"),
        Selector::MeshServiceSubset(service, tags) => {
            format!("no inbound of {name} is of service {service}{}", with(tags))
        }
    }
}
