//! Resolved routes as values, and how other programs read them as JSON.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use serde::{Deserialize, Serialize, Serializer};

use super::{DeniedAddress, Routes};
use crate::{
    policy::Compat,
    resources::{BackendTarget, Labels, MeshName, PortRef, ServiceBy, Tags, Weight},
};

/// Everything the kernel needs to know about one Dataplane.
#[derive(Debug, Clone, PartialEq)]
pub struct DataplaneRoutes {
    /// The Dataplane's mesh.
    pub mesh: MeshName,
    /// The Dataplane's name (on Kubernetes `name.namespace`).
    pub dataplane: String,
    /// The order of policies that was in force.
    pub compat: Compat,
    /// One entry for each outbound, sorted by service, address and port.
    pub routes: Routes,
    /// Outbounds that contradict each other.
    pub(crate) conflicts: Vec<String>,
    /// Addresses that applications may not dial, though a resource has them.
    pub(crate) denied: Vec<DeniedAddress>,
    /// The policies of other kinds that the Dataplane's proxy enforces on all that it dials.
    pub(crate) other_policies: Arc<[String]>,
}

/// Where connections to one outbound address lead.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedRoute {
    /// The address and port that the application dials.
    pub dialled: SocketAddr,
    /// Shared by all routes that lead there.
    pub destination: Arc<Destination>,
}

/// Where connections to a service lead, from Dataplanes to which the same policies apply.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    /// The destination service.
    pub service: Arc<str>,
    /// `http`, `tcp`, …; `tcp` when no protocol is agreed on.
    pub protocol: String,
    /// Whether the kernel rewrites the destination at all.
    pub action: Action,
    /// Why that action.
    pub reason: String,
    /// What would have to change for it to be routed, if it is not.
    pub remedy: Option<&'static str>,
    /// The policies that contributed, from weak to strong.
    pub policies: Vec<String>,
    /// The backends in the order in which the policy names them; empty for a passthrough.
    pub backends: Vec<ResolvedBackend>,
    /// What connections go without that bypass the proxy; `None` for a passthrough.
    pub bypass: Option<Bypass>,
    /// The DNS names of their endpoints, sorted.
    pub names: Vec<String>,
    /// What the operator should know: unknown services, destinations left to the proxy, and the like.
    pub warnings: Vec<String>,
    /// Endpoints that no connection may go to.
    pub denied: Vec<DeniedAddress>,
}

/// What it means for the connections to a service that they bypass the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bypass {
    /// The policies of other kinds that are about this service, as `kind name`, of which nobody enforces any there.
    /// Those about all that a Dataplane dials come to these.
    pub not_enforced: Vec<String>,
    /// What the servers make of it.
    pub plaintext: Plaintext,
}

/// What servers do with plaintext, which is what an application speaks that bypasses the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plaintext {
    /// They have no mTLS.
    Accepted,
    /// Their mTLS is permissive: they take it unauthenticated.
    Permissive,
    /// Their mTLS is strict.
    Refused,
}

impl Plaintext {
    /// As a sentence about servers.
    pub const fn told(self) -> &'static str {
        match self {
            Self::Accepted => "its servers accept plaintext (no mTLS)",
            Self::Permissive => "its servers take plaintext unauthenticated (permissive mTLS)",
            Self::Refused => "its servers refuse plaintext (strict mTLS)",
        }
    }
}

/// What the kernel does with a connection to an outbound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Choose a backend and rewrite the destination.
    Route,
    /// Rewrite nothing: the connection goes where the application dialled, usually to the proxy.
    Passthrough,
}

/// One backendRef of a route with the endpoints behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedBackend {
    /// As written.
    pub target: BackendTarget,
    /// As written; 1 when it was left out.
    pub weight: Weight,
    /// Weight over the sum of all weights, from 0 to 1; 0 when all weights are 0.
    pub share: f64,
    /// Sorted, without repeats; empty means that connections of this share are refused. One list for all backendRefs of
    /// a destination that mean the same.
    pub endpoints: Arc<[SocketAddr]>,
}

impl DataplaneRoutes {
    /// What the operator should know, sorted.
    pub fn warnings(&self) -> Vec<String> {
        let of_routes = self.routes.iter().flat_map(|route| &route.destination.warnings);
        let all = self.conflicts.iter().chain(of_routes).cloned();
        let all: BTreeSet<String> = all.chain(self.denied().into_iter().map(ToString::to_string)).collect();
        all.into_iter().collect()
    }

    /// The addresses that do not count, each once.
    pub fn denied(&self) -> BTreeSet<&DeniedAddress> {
        let of_routes = self.routes.iter().flat_map(|route| &route.destination.denied);
        self.denied.iter().chain(of_routes).collect()
    }

    /// The policies of other kinds, as `kind name`, that the proxy would have enforced on connections that now
    /// bypass it, with the services that they are about; without any they are about all.
    pub fn not_enforced(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut all = BTreeMap::<&str, BTreeSet<&str>>::new();
        let mut any = false;
        for Destination { service, bypass, .. } in self.routes.iter().map(|route| &*route.destination) {
            let Some(Bypass { not_enforced, .. }) = bypass else { continue };
            any = true;
            for policy in not_enforced {
                all.entry(policy).or_default().insert(service);
            }
        }
        all.extend(
            self.other_policies.iter().filter(|_| any).map(|policy| (policy.as_str(), BTreeSet::new())),
        );
        all
    }
}

impl Serialize for DataplaneRoutes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Shown<'a> {
            mesh: &'a MeshName,
            dataplane: &'a str,
            compat: Compat,
            routes: Vec<ShownRoute<'a>>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            warnings: Vec<String>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            not_enforced: Vec<&'a str>,
        }
        let everywhere = &self.other_policies;
        Shown {
            mesh: &self.mesh,
            dataplane: &self.dataplane,
            compat: self.compat,
            routes: self.routes.iter().map(|route| ShownRoute { route, everywhere }).collect(),
            warnings: self.warnings(),
            not_enforced: self.not_enforced().into_keys().collect(),
        }
        .serialize(serializer)
    }
}

impl ResolvedRoute {
    /// The policies of other kinds that are not enforced here, those about all that the Dataplane dials among them.
    pub fn not_enforced<'a>(&'a self, everywhere: &'a [String]) -> Vec<&'a str> {
        let Some(Bypass { not_enforced, .. }) = &self.destination.bypass else { return Vec::new() };
        let mut all: Vec<&str> = not_enforced.iter().chain(everywhere).map(String::as_str).collect();
        all.sort_unstable();
        all
    }

    /// What is given up here, if it is more than the proxy: policies, or that servers would not take plaintext from
    /// everybody.
    pub fn given_up<'a>(&'a self, everywhere: &'a [String]) -> Option<(Vec<&'a str>, Plaintext)> {
        let plaintext = self.destination.bypass.as_ref()?.plaintext;
        let policies = self.not_enforced(everywhere);
        (!policies.is_empty() || plaintext != Plaintext::Accepted).then_some((policies, plaintext))
    }
}

/// A route as other programs read it.
pub(super) struct ShownRoute<'a> {
    pub(super) route: &'a ResolvedRoute,
    /// The policies of other kinds about all that the Dataplane dials.
    pub(super) everywhere: &'a [String],
}

impl Serialize for ShownRoute<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Shown<'a> {
            service: &'a str,
            address: IpAddr,
            port: u16,
            protocol: &'a str,
            action: Action,
            reason: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            remedy: Option<&'static str>,
            policies: &'a [String],
            backends: &'a [ResolvedBackend],
            #[serde(skip_serializing_if = "Vec::is_empty")]
            not_enforced: Vec<&'a str>,
            /// Left out where nothing is to be said of it.
            #[serde(skip_serializing_if = "Option::is_none")]
            plaintext: Option<Plaintext>,
        }
        let Destination {
            service,
            protocol,
            action,
            reason,
            remedy,
            policies,
            backends,
            bypass,
            names: _,
            warnings: _,
            denied: _,
        } = &*self.route.destination;
        Shown {
            service,
            address: self.route.dialled.ip(),
            port: self.route.dialled.port(),
            protocol,
            action: *action,
            reason,
            remedy: *remedy,
            policies,
            backends,
            not_enforced: self.route.not_enforced(self.everywhere),
            plaintext: bypass.as_ref().map(|it| it.plaintext).filter(|it| *it != Plaintext::Accepted),
        }
        .serialize(serializer)
    }
}

impl Serialize for ResolvedBackend {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Shown<'a> {
            kind: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            name: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            namespace: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            labels: Option<&'a Labels>,
            #[serde(skip_serializing_if = "Option::is_none")]
            section_name: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            port: Option<u16>,
            #[serde(skip_serializing_if = "Option::is_none")]
            tags: Option<&'a Tags>,
            weight: Weight,
            share: f64,
            endpoints: &'a [SocketAddr],
        }
        let service = &self.target.service;
        let (name, namespace, labels) = match &service.by {
            ServiceBy::Name(name, namespace) => (Some(name.as_str()), namespace.as_deref(), None),
            ServiceBy::Labels(labels) => (None, None, Some(labels)),
        };
        let (port, section_name) = match &service.port {
            Some(PortRef::Number(port)) => (Some(*port), None),
            Some(PortRef::Section(section)) => (None, Some(section.as_str())),
            None => (None, None),
        };
        Shown {
            kind: self.target.kind(),
            name,
            namespace,
            labels,
            section_name,
            port,
            tags: self.target.subset.as_ref(),
            weight: self.weight,
            share: self.share,
            endpoints: &self.endpoints,
        }
        .serialize(serializer)
    }
}
