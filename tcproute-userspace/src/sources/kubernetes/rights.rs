//! What the API server allows of all that is asked for, told by itself (`SelfSubjectAccessReview`). Nothing is written
//! for it, and no object is read.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    access::{Access, Server},
    kinds::{CORE, DEFINITIONS, DISCOVERY, ENDPOINT_SLICES, KUMA, Scope, WatchedKind},
};

/// So long all answers may take together.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where it is asked.
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Something that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Such as `list, watch meshtcproutes.kuma.io`.
    pub what: String,
    /// What is not done without it, if all else goes on.
    pub without: Option<&'static str>,
    /// What an operator has to add.
    pub rule: String,
}

/// Something that is asked for.
struct Asked {
    /// As it is told.
    name: String,
    verbs: &'static [&'static str],
    /// As a review has them, but for the verb.
    attributes: Value,
    /// Whether it is a path, and no resource.
    is_path: bool,
    without: Option<&'static str>,
    rule: String,
}

/// All that is not allowed.
pub async fn denied(access: Access, system_namespace: &str) -> Result<Vec<Denied>, String> {
    let server = Server::new(access);
    let asking = async {
        let mut all = Vec::new();
        for asked in all_asked(system_namespace) {
            let mut verbs = Vec::new();
            for verb in asked.verbs {
                if !is_allowed(&server, &asked, verb).await? {
                    verbs.push(*verb);
                }
            }
            if !verbs.is_empty() {
                let Asked { name, without, rule, .. } = asked;
                all.push(Denied { what: format!("{} {name}", verbs.join(", ")), without, rule });
            }
        }
        Ok(all)
    };
    timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| Err(format!("the API server has not told all within {} s", PATIENCE.as_secs())))
}

/// As `rbac` writes it.
fn all_asked(system_namespace: &str) -> Vec<Asked> {
    let kinds = KUMA.iter().chain(&CORE).chain([&DEFINITIONS, &ENDPOINT_SLICES]);
    let mut all: Vec<Asked> = kinds.map(|kind| of_kind(kind, system_namespace)).collect();
    all.push(Asked {
        name: DISCOVERY.to_owned(),
        verbs: &["get"],
        attributes: json!({"path": DISCOVERY}),
        is_path: true,
        without: None,
        rule: format!("a ClusterRole needs {{nonResourceURLs: [{DISCOVERY}], verbs: [get]}}"),
    });
    all.push(Asked {
        name: "events.events.k8s.io".to_owned(),
        verbs: &["create", "patch"],
        attributes: json!({"group": "events.k8s.io", "resource": "events"}),
        is_path: false,
        without: Some("what cannot be used is not told in the cluster"),
        rule: "a ClusterRole needs {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}"
            .to_owned(),
    });
    all
}

fn of_kind(kind: &WatchedKind, system_namespace: &str) -> Asked {
    let WatchedKind { group, plural, scope, .. } = kind;
    let mut attributes = json!({"group": group, "resource": plural});
    if *scope == Scope::SystemNamespace {
        attributes["namespace"] = json!(system_namespace);
    }
    Asked {
        name: if group.is_empty() { (*plural).to_owned() } else { format!("{plural}.{group}") },
        verbs: &["list", "watch"],
        attributes,
        is_path: false,
        without: (*kind == ENDPOINT_SLICES).then_some("pods without a Dataplane are no endpoints"),
        rule: kind.rule(system_namespace),
    }
}

/// What is used of an answer.
#[derive(Deserialize)]
struct Review {
    status: ReviewStatus,
}

#[derive(Deserialize)]
struct ReviewStatus {
    allowed: bool,
}

async fn is_allowed(server: &Server, asked: &Asked, verb: &str) -> Result<bool, String> {
    let mut attributes = asked.attributes.clone();
    attributes["verb"] = json!(verb);
    let of = if asked.is_path { "nonResourceAttributes" } else { "resourceAttributes" };
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {of: attributes},
    });
    let answer = server.post(REVIEWS, &review).await.map_err(|failure| failure.to_string())?;
    let review: Review = serde_json::from_slice(&answer)
        .map_err(|error| format!("what the API server answers cannot be read: {error}"))?;
    Ok(review.status.allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::kubernetes::rbac;

    /// What is asked about is what the manifest grants.
    #[test]
    fn all_is_asked_that_the_manifest_allows() {
        let manifest = rbac::manifests("tcproute", "tcproute", "kuma-system");
        let granted = manifest
            .lines()
            .filter(|line| line.trim_start().starts_with("- ") && line.starts_with("      - "));
        let granted: Vec<&str> = granted.map(|line| line.trim_start_matches([' ', '-'])).collect();
        let all = all_asked("kuma-system");
        let asked: Vec<&str> = all
            .iter()
            .filter_map(|asked| asked.attributes["resource"].as_str())
            .filter(|it| *it != "events")
            .collect();
        for plural in &granted {
            assert!(asked.contains(plural), "{plural}");
        }
        assert_eq!(granted.len(), asked.len(), "{granted:?}");
        let config_maps = all.iter().find(|asked| asked.name == "configmaps").unwrap();
        assert_eq!(config_maps.attributes["namespace"], "kuma-system");
        assert!(config_maps.rule.contains("a Role in the namespace kuma-system"), "{}", config_maps.rule);
    }
}
