//! A MeshTCPRoute: whom it selects, and what it comes to for each of them.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use thiserror::Error;

use crate::{
    policy::{Compat, applies},
    resources::{Dataplane, Key, MeshName, MeshTcpRoute, Rule, did_you_mean},
    routing::{Action, Resolver, Verdict, destination::Dialled, policies::Entry, resolver::LeftOut},
};

/// So many of the Dataplanes that it selects are looked at: in a mesh with VIPs each may dial thousands of services.
const MOST_ASKED: usize = 100;

/// A policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyDescription {
    /// Its mesh.
    pub mesh: MeshName,
    /// Its name.
    pub policy: String,
    /// The order of policies that was in force.
    pub compat: Compat,
    /// The proxies it is for.
    pub target: String,
    /// Whether it is only tried out.
    pub shadow: bool,
    /// The Dataplanes that it selects.
    pub selects: Vec<String>,
    /// Why it does not select others, by how many.
    pub not_selected: BTreeMap<String, usize>,
    /// What it says, and what that comes to.
    pub to: Vec<ToDescription>,
    /// How many of those that it selects were looked at.
    pub asked: usize,
}

/// What it says of one destination.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToDescription {
    /// The destination.
    pub destination: String,
    /// Its backendRefs; empty if the destination itself is meant.
    pub backends: Vec<BackendDescription>,
    /// What becomes of it, by how many Dataplanes.
    pub comes_to: Vec<ByDataplane>,
}

/// A backendRef.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BackendDescription {
    /// As people read it.
    pub target: String,
    /// As written; 1 when it was left out.
    pub weight: u32,
    /// Weight over the sum of all weights.
    pub share: f64,
    /// Its endpoints, for the first Dataplane for which it wins and is routed; `None` if there is no such Dataplane.
    pub endpoints: Option<usize>,
}

/// What it comes to for some Dataplanes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ByDataplane {
    /// In words, such as `wins, and is routed`.
    pub what: String,
    /// For these.
    pub dataplanes: Vec<String>,
}

/// No policy is called so.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("mesh {mesh} has no MeshTCPRoute {name:?}{hint}")]
pub struct UnknownPolicy {
    mesh: MeshName,
    name: String,
    /// What may have been meant.
    hint: String,
}

impl Resolver {
    /// Describes the MeshTCPRoute with this name (on Kubernetes also `name.namespace`).
    pub fn describe_policy(
        &mut self,
        mesh: &MeshName,
        name: &str,
    ) -> Result<PolicyDescription, UnknownPolicy> {
        let policy = self.find_policy(mesh, name)?;
        let compat = self.options().compat;
        let mut selected = Vec::new();
        let mut not_selected = BTreeMap::<String, usize>::new();
        for dataplane in self.resources().dataplanes.values().filter(|dataplane| dataplane.mesh == *mesh) {
            if applies(compat, &policy.header, &policy.selector, dataplane) {
                selected.push(Arc::clone(dataplane));
            } else {
                let (_, why) = self.not_concerned(&policy.header, &policy.selector, dataplane);
                // Without the name they are the same for many.
                *not_selected.entry(why.replace(&dataplane.name.to_string(), "it")).or_default() += 1;
            }
        }
        let mut to: Vec<ToDescription> =
            policy.to.iter().map(|to| described(&to.service, &to.rule)).collect();
        for dataplane in selected.iter().take(MOST_ASKED) {
            self.ask(dataplane, &policy, &mut to);
        }
        Ok(PolicyDescription {
            mesh: mesh.clone(),
            policy: policy.header.name.to_string(),
            compat,
            target: policy.selector.to_string(),
            shadow: policy.header.shadow,
            selects: selected.iter().map(|dataplane| dataplane.name.to_string()).collect(),
            not_selected,
            to,
            asked: selected.len().min(MOST_ASKED),
        })
    }

    fn find_policy(&self, mesh: &MeshName, name: &str) -> Result<Arc<MeshTcpRoute>, UnknownPolicy> {
        let of_mesh = || {
            let all = self.resources().tcp_routes.iter();
            all.filter(|((of, _), _): &(&Key, _)| of == mesh).map(|(_, policy)| policy)
        };
        let by_full_name = of_mesh().find(|policy| policy.header.name.is(name));
        let by_name = || of_mesh().find(|policy| *policy.header.name.name == *name);
        if let Some(policy) = by_full_name.or_else(by_name) {
            return Ok(Arc::clone(policy));
        }
        let names: Vec<String> = of_mesh().map(|policy| policy.header.name.to_string()).collect();
        let hint = did_you_mean(name, names.iter().map(String::as_str));
        Err(UnknownPolicy { mesh: mesh.clone(), name: name.to_owned(), hint })
    }

    /// What the policy comes to for one Dataplane.
    fn ask(&mut self, dataplane: &Arc<Dataplane>, policy: &Arc<MeshTcpRoute>, to: &mut [ToDescription]) {
        let (name, own) = (dataplane.name.to_string(), policy.header.name.to_string());
        let outbounds = self.outbounds(dataplane, &mut LeftOut::default());
        let resources = self.resources().clone();
        let dialler = self.dialler(&resources, dataplane);
        let item = |dialled: &Dialled| {
            let entries = self.key(&dialler, dialled.clone()).entries;
            entries.iter().rfind(|entry| Arc::ptr_eq(&entry.policy, policy)).map(Entry::item)
        };
        let concerned = outbounds.into_iter().filter_map(|outbound| Some((item(&outbound.1)?, outbound)));
        let (items, concerned): (Vec<usize>, Vec<_>) = concerned.unzip();
        let explanations = self.explanations(dataplane, concerned, |all, _, key| all.applying(key));
        for (item, explanation) in items.iter().zip(explanations) {
            let to = &mut to[*item];
            let Some(of) = explanation.policies.iter().find(|considered| considered.name == own) else {
                continue;
            };
            let destination = &explanation.route.destination;
            let what = match (of.verdict, destination.action) {
                (Verdict::Wins, Action::Route) => {
                    for (described, backend) in to.backends.iter_mut().zip(&destination.backends) {
                        described.endpoints.get_or_insert(backend.endpoints.len());
                    }
                    "wins, and is routed".to_owned()
                }
                (Verdict::Wins, Action::Passthrough) => {
                    format!("wins, and is left to the proxy: {}", destination.reason)
                }
                _ => format!("is overridden: {}", of.reason),
            };
            note(&mut to.comes_to, what, &name);
        }
        for (number, to) in to.iter_mut().enumerate() {
            if !items.contains(&number) {
                note(&mut to.comes_to, "is not dialled: it has no such outbound".to_owned(), &name);
            }
        }
    }
}

fn note(all: &mut Vec<ByDataplane>, what: String, dataplane: &str) {
    match all.iter_mut().find(|by| by.what == what) {
        Some(by) if by.dataplanes.last().is_some_and(|last| last == dataplane) => {}
        Some(by) => by.dataplanes.push(dataplane.to_owned()),
        None => all.push(ByDataplane { what, dataplanes: vec![dataplane.to_owned()] }),
    }
}

fn described(destination: &impl ToString, rule: &Rule) -> ToDescription {
    let refs = match rule {
        Rule::Itself => [].as_slice(),
        Rule::Backends(refs) => refs.as_slice(),
    };
    let sum: u64 = refs.iter().map(|backend| u64::from(backend.weight.get())).sum();
    let backends = refs.iter().map(|backend| BackendDescription {
        target: backend.target.to_string(),
        weight: backend.weight.get(),
        share: if sum == 0 { 0.0 } else { f64::from(backend.weight.get()) / crate::outcomes::float(sum) },
        endpoints: None,
    });
    ToDescription { destination: destination.to_string(), backends: backends.collect(), comes_to: Vec::new() }
}
