//! What the API server has to allow, as a file for an operator, made from what is asked for.

use std::fmt::Write as _;

use super::kinds::{CORE, DEFINITIONS, DISCOVERY, ENDPOINT_SLICES, KUMA, Scope, WatchedKind};

/// The manifests, in YAML: for a service account of this name and namespace, and a control plane in that namespace.
pub fn manifests(name: &str, namespace: &str, system_namespace: &str) -> String {
    let cluster = indented(&(cluster_rules() + EVENT_RULES));
    let system = indented(&system_rules());
    format!(
        "# What tcproute asks an API server for. It reads, and writes events.\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: {name}\nrules:\n{cluster}\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata:\n  name: {name}\n\
         roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: ClusterRole\n  name: {name}\n\
         subjects:\n  - kind: ServiceAccount\n    name: {name}\n    namespace: {namespace}\n\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: {name}\n  \
         namespace: {system_namespace}\nrules:\n{system}\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata:\n  name: {name}\n  \
         namespace: {system_namespace}\nroleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: Role\n  name: {name}\n\
         subjects:\n  - kind: ServiceAccount\n    name: {name}\n    namespace: {namespace}\n",
    )
}

/// What events are written by.
pub const EVENT_RULES: &str =
    "- apiGroups: [events.k8s.io]\n  resources: [events]\n  verbs: [create, patch]\n";

/// What is read in all of the cluster.
pub fn cluster_rules() -> String {
    rules(|kind| kind.scope != Scope::SystemNamespace)
        + &format!("- nonResourceURLs: [{DISCOVERY}]\n  verbs: [get]\n")
}

/// What is read in the namespace of the control plane.
pub fn system_rules() -> String {
    rules(|kind| kind.scope == Scope::SystemNamespace)
}

/// A rule for each group of these kinds.
fn rules(is_meant: impl Fn(&WatchedKind) -> bool) -> String {
    let all = KUMA.iter().chain(&CORE).chain([&DEFINITIONS, &ENDPOINT_SLICES]);
    let kinds: Vec<&WatchedKind> = all.filter(|kind| is_meant(kind)).collect();
    let mut groups: Vec<&str> = kinds.iter().map(|kind| kind.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut text = String::new();
    for group in groups {
        let mut plurals: Vec<&str> =
            kinds.iter().filter(|kind| kind.group == group).map(|kind| kind.plural).collect();
        plurals.sort_unstable();
        // The formatting of a string cannot fail.
        let _ = write!(text, "- apiGroups: [\"{group}\"]\n  resources:\n");
        for plural in plurals {
            let _ = writeln!(text, "    - {plural}");
        }
        text.push_str("  verbs: [list, watch]\n");
    }
    text
}

fn indented(text: &str) -> String {
    format!("  {}\n", text.trim_end().replace('\n', "\n  "))
}
