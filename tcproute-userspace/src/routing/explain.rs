//! Why a route is what it is: every policy that was considered, and why it did or did not win.

use std::{collections::BTreeSet, sync::Arc};

use serde::Serialize;
use thiserror::Error;

use super::{
    ResolvedRoute, Resolver, UnknownDataplane,
    find::find,
    policies::{Entry, EntryId, Profile},
    protocol,
    services::ServiceId,
};
use crate::{
    policy::{Compat, applies, merge},
    resources::{Dataplane, MeshName, Pairs, PolicyHeader, Rule, Selector, nearest},
};

/// The policies behind the routes of a Dataplane to one service.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
        let outbounds = self.outbounds(&dataplane, &mut BTreeSet::new());
        let wanted: Vec<_> =
            outbounds.iter().filter(|(_, id)| **self.services.name(*id) == *service).copied().collect();
        if wanted.is_empty() {
            let known = outbounds.iter().map(|(_, id)| &**self.services.name(*id));
            let hint = nearest(service, known).map(|near| format!(", did you mean {near:?}?"));
            return Err(UnknownService::Service {
                dataplane: dataplane.name.to_string(),
                service: service.to_owned(),
                hint: hint.unwrap_or_default(),
            });
        }
        let profile = self.policies.profile(&dataplane);
        let explain = |(dialled, id)| Explanation {
            mesh: mesh.clone(),
            dataplane: dataplane.name.to_string(),
            compat: self.options().compat,
            route: ResolvedRoute { dialled, destination: self.destination(&profile, id, dialled.is_ipv6()) },
            policies: self.considered(&dataplane, &profile, id),
        };
        Ok(wanted.into_iter().map(explain).collect())
    }

    fn considered(&self, dataplane: &Dataplane, profile: &Profile, service: ServiceId) -> Vec<Considered> {
        let mut considered = self.verdicts(&profile.entries(service));
        let applying: BTreeSet<String> = considered.iter().map(|policy| policy.name.clone()).collect();
        let compat = self.options().compat;
        for policy in self.resources().http_routes.values() {
            let concerns = applies(compat, &policy.header, &policy.selector, dataplane);
            let covers = concerns && self.policies.covers(&policy.header.key(), service);
            let (verdict, reason) = if covers {
                let effect = if protocol::is_http(self.services.protocol(service)) {
                    "its protocol is one of requests"
                } else {
                    "without effect: its protocol is not one of requests"
                };
                (Verdict::Covers, format!("covers the service; {effect}"))
            } else {
                (Verdict::NotConcerned, not_concerned(concerns, &policy.header, &policy.selector, dataplane))
            };
            considered.push(one("MeshHTTPRoute", &policy.header, &policy.selector, verdict, reason));
        }
        for policy in self.resources().tcp_routes.values() {
            let header = &policy.header;
            if header.mesh == dataplane.mesh && applying.contains(&header.name.to_string()) {
                continue;
            }
            let concerns = applies(compat, header, &policy.selector, dataplane);
            let reason = not_concerned(concerns, header, &policy.selector, dataplane);
            considered.push(one("MeshTCPRoute", header, &policy.selector, Verdict::NotConcerned, reason));
        }
        considered
    }

    /// What became of the entries that apply, given from weak to strong: the one that wins first.
    fn verdicts(&self, entries: &[EntryId]) -> Vec<Considered> {
        let compat = self.options().compat;
        let entries: Vec<_> = entries.iter().map(|&id| self.policies.entry(id)).collect();
        let (_, winner) = merge(entries.iter().map(|entry| &entry.to().rule));
        let verdict = |(i, entry): (usize, &&Entry)| {
            let says = match &entry.to().rule {
                Rule::Itself => "names the service without rules: the destination itself",
                Rule::Backends(_) => "has backendRefs",
            };
            let (verdict, reason) = match winner {
                Some(winner) if winner != i => {
                    let by = &entries[winner];
                    let deciding = compat.deciding(&by.strength(), &entry.strength());
                    let by = &by.policy.header.name;
                    (Verdict::Overridden, format!("{by} is stronger by {deciding}"))
                }
                _ => (Verdict::Wins, format!("the strongest; it {says}")),
            };
            one("MeshTCPRoute", &entry.policy.header, &entry.policy.selector, verdict, reason)
        };
        let mut considered: Vec<Considered> = entries.iter().enumerate().rev().map(verdict).collect();
        considered.sort_by_key(|policy| policy.verdict != Verdict::Wins);
        considered
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

fn not_concerned(
    concerns: bool,
    policy: &PolicyHeader,
    selector: &Selector,
    dataplane: &Dataplane,
) -> String {
    if policy.mesh != dataplane.mesh {
        format!("is of mesh {}", policy.mesh)
    } else if concerns {
        "does not name the service".to_owned()
    } else {
        let name = &dataplane.name;
        match selector {
            Selector::Mesh => format!("is for the workloads of its own namespace, unlike {name}"),
            Selector::Dataplane(_) => format!("does not select {name}"),
            Selector::MeshSubset(tags) => format!("no inbound of {name} has {}", Pairs(tags)),
            Selector::MeshService(service) => format!("no inbound of {name} is of service {service}"),
            Selector::MeshServiceSubset(service, tags) => {
                format!("no inbound of {name} is of service {service} with {}", Pairs(tags))
            }
        }
    }
}
