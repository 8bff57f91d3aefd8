//! What stands in files and cannot be used, or is of no concern; and what the daemon must say of it.

use fastrand::Rng;

use crate::policy::Policy;

/// What stands in a policy's file instead of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) text: String,
    /// Whether it can be told which policy it is.
    is_told: bool,
}

/// What is to be said of something, and whether its last good form stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rejected {
    /// An object, or the name of a file.
    pub(crate) subject: String,
    pub(crate) kept: bool,
}

/// Ways to make a policy unusable: what is replaced in its text by what, and whether it can still be told which it is.
const WAYS: [(&str, &str, bool); 8] = [
    ("weight:", "wieght:", true),
    ("weight: ", "weight: x", true),
    ("{kind: Mesh", "{kind: Mash", true),
    ("\n  to:\n", "\n  to: everywhere\n  of:\n", true),
    ("spec:", "spec: nothing\nwas:", true),
    ("MeshTCPRoute", "MeshTCPRuote", false),
    ("name: p", "eman: p", false),
    ("spec:", "spec: [", false),
];

/// What nobody can use, or nobody needs, with the object that is rejected by name, if any is.
pub(crate) const FOREIGN: [(&str, Option<&str>); 9] = [
    ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n", None),
    ("type: MeshUnheardOf\nname: new\nmesh: default\nspec: {to: 3}\n", None),
    ("type: MeshTimeout\nname: late\nmesh: default\nspec: {to: []}\n", None),
    ("replicas: 3\nimage: {tag: latest}\n", None),
    (
        "type: MeshHTTPRoute\nname: gateway\nspec:\n  targetRef: {kind: MeshGateway, name: edge}\n  to: []\n",
        None,
    ),
    (
        "type: MeshTCPRoute\nname: z\nmesh: elsewhere\nspec:\n  targetRef: {kind: Mesh}\n  to:\n  \
         - targetRef: {kind: MeshService, name: svc-0}\n    \
         rules: [{default: {backendRefs: [{kind: MeshService, name: svc-1}]}}]\n",
        None,
    ),
    (
        "type: MeshTCPRoute\nname: z\nspec:\n  targetRef: {kind: Mesh}\n  to:\n  \
         - targetRef: {kind: MeshService, name: svc-0}\n    \
         rules: [{default: {backendRefs: [{kind: MeshService, nmae: svc-1}]}}]\n",
        Some("MeshTCPRoute z of mesh default"),
    ),
    (
        "type: Dataplane\nname: nowhere\nnetworking: {address: 127.0.0.1}\n",
        Some("Dataplane nowhere of mesh default"),
    ),
    (
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n\
         - {apiVersion: kuma.io/v1alpha1, kind: MeshTCPRoute, metadata: {name: y, namespace: kuma-system}, spec: {to: 7}}\n",
        Some("MeshTCPRoute y.kuma-system of mesh default"),
    ),
];

impl Unusable {
    /// A policy that can be read, but for one thing.
    pub(crate) fn new(name: &str, policy: &Policy, rng: &mut Rng) -> Self {
        let good = policy.text(name);
        let ways: Vec<_> = WAYS.into_iter().filter(|(what, ..)| good.contains(what)).collect();
        // Every text has some of them.
        let (what, instead, is_told) = ways[rng.usize(0..ways.len())];
        Self { text: good.replacen(what, instead, 1), is_told }
    }

    /// What is said of it.
    pub(crate) fn rejected(&self, name: &str, kept: bool) -> Rejected {
        let subject =
            if self.is_told { format!("MeshTCPRoute {name} of mesh default") } else { policy_file(name) };
        Rejected { subject, kept }
    }
}

/// The file of a policy.
pub(crate) fn policy_file(name: &str) -> String {
    format!("policy-{name}.yaml")
}

/// The file of something foreign.
pub(crate) fn foreign_file(number: usize) -> String {
    format!("foreign-{number}.yaml")
}
