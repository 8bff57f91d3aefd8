//! What the API server has to allow, as a file for an operator, made from what is asked for.

use std::fmt::Write as _;

use super::kinds::{CORE, DEFINITIONS, DISCOVERY, ENDPOINT_SLICES, KUMA, Scope, WatchedKind};

/// The manifests, in YAML: for a service account of this name and namespace, and a control plane in that namespace.
pub fn manifests(name: &str, namespace: &str, system_namespace: &str) -> String {
    let all = KUMA.iter().chain(&CORE).chain([&DEFINITIONS, &ENDPOINT_SLICES]);
    let (of_cluster, of_namespace): (Vec<&WatchedKind>, Vec<_>) =
        all.partition(|kind| kind.scope != Scope::SystemNamespace);
    let mut text = format!(
        "# What tcproute asks an API server for. It reads, and writes events.\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: {name}\nrules:\n"
    );
    text.push_str(&rules(&of_cluster));
    // The formatting of a string cannot fail.
    let _ = write!(
        text,
        "  - nonResourceURLs: [{DISCOVERY}]\n    verbs: [get]\n\
         \x20 - apiGroups: [events.k8s.io]\n    resources: [events]\n    verbs: [create, patch]\n\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata:\n  name: {name}\n\
         roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: ClusterRole\n  name: {name}\n\
         subjects:\n  - kind: ServiceAccount\n    name: {name}\n    namespace: {namespace}\n\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: {name}\n  \
         namespace: {system_namespace}\nrules:\n{}\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata:\n  name: {name}\n  \
         namespace: {system_namespace}\nroleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: Role\n  name: {name}\n\
         subjects:\n  - kind: ServiceAccount\n    name: {name}\n    namespace: {namespace}\n",
        rules(&of_namespace)
    );
    text
}

/// A rule for each group.
fn rules(kinds: &[&WatchedKind]) -> String {
    let mut groups: Vec<&str> = kinds.iter().map(|kind| kind.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut text = String::new();
    for group in groups {
        let mut plurals: Vec<&str> =
            kinds.iter().filter(|kind| kind.group == group).map(|kind| kind.plural).collect();
        plurals.sort_unstable();
        let _ = write!(text, "  - apiGroups: [\"{group}\"]\n    resources:\n");
        for plural in plurals {
            let _ = writeln!(text, "      - {plural}");
        }
        text.push_str("    verbs: [list, watch]\n");
    }
    text
}
