//! What users may do.

use serde_json::{Value, json};

use super::{
    Api, Kind, User,
    kinds::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING},
};

/// Lets a user do what these rules say, by a ClusterRole of this name. The server knows it a moment later.
pub fn grant(api: &Api, user: User, role: &str, rules: &Value) {
    api.create(&CLUSTER_ROLE, &CLUSTER_ROLE.object(role, json!({"rules": rules})));
    let binding = json!({
        "roleRef": {"apiGroup": CLUSTER_ROLE.group, "kind": CLUSTER_ROLE.name, "name": role},
        "subjects": [{"apiGroup": CLUSTER_ROLE.group, "kind": "User", "name": user.name}],
    });
    api.create(&CLUSTER_ROLE_BINDING, &CLUSTER_ROLE_BINDING.object(role, binding));
}

/// Lets users read and watch all of a kind's objects.
pub fn reading(kinds: &[Kind]) -> Value {
    const VERBS: [&str; 3] = ["get", "list", "watch"];
    let rule = |kind: &Kind| json!({"apiGroups": [kind.group], "resources": [kind.plural], "verbs": VERBS});
    kinds.iter().map(rule).collect()
}

/// Takes away what was granted by this name. The server knows it a moment later.
pub fn revoke(api: &Api, role: &str) {
    api.delete(&CLUSTER_ROLE_BINDING, role);
    api.delete(&CLUSTER_ROLE, role);
}
