//! What Helm says of the chart and of values.

use serde_json::json;
use tcproute_tests::cluster::Helm;

use super::matrix;

#[test]
fn the_chart_passes_helms_own_checks() {
    let Some(helm) = Helm::find("the_chart_passes_helms_own_checks") else { return };
    for (what, values) in matrix() {
        let said = helm.lint(&values).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(said.contains("0 chart(s) failed"), "{what}: {said}");
    }
}

/// Each with the part of it that is complained of.
#[test]
fn values_that_are_unknown_or_make_no_sense_are_refused() {
    let Some(helm) = Helm::find("values_that_are_unknown_or_make_no_sense_are_refused") else { return };
    for (values, part) in [
        (json!({"imagee": {}}), "imagee"),
        (json!({"image": {"registry": "a"}}), "registry"),
        (json!({"image": {"tag": 1}}), "tag"),
        (json!({"image": {"repository": ""}}), "repository"),
        (json!({"image": {"digest": "sha256:12"}}), "digest"),
        (json!({"config": {"drian": 5}}), "drian"),
        (json!({"config": {"drain": "soon"}}), "drain"),
        (json!({"config": {"drain": 0}}), "drain"),
        (json!({"config": {"eject-after": 0}}), "eject-after"),
        (json!({"config": {"eject-after": "3"}}), "eject-after"),
        (json!({"config": {"sidecar": "of"}}), "sidecar"),
        (json!({"config": {"source": ["kubernetes", "file"]}}), "source"),
        (json!({"config": {"strict": "yes"}}), "strict"),
        (json!({"config": {"compat": 2.4}}), "compat"),
        // By the mounts it is known where these are.
        (json!({"config": {"bpffs": "/bpf"}}), "bpffs"),
        (json!({"config": {"admin-socket": "/run/a.sock"}}), "admin-socket"),
        (json!({"config": {"metrics-listen": "0.0.0.0:9902"}}), "metrics-listen"),
        (json!({"metrics": {"enabled": true}}), "tls/secretName"),
        (json!({"metrics": {"enabled": true, "tls": {"secretName": "a"}}}), "token/secretName"),
        (json!({"metrics": {"enabled": true, "token": {"secretName": "a"}}}), "tls/secretName"),
        (json!({"metrics": {"clientCA": {"secretName": "a"}}}), "tls/secretName"),
        (json!({"metrics": {"port": 443}}), "port"),
        (json!({"metrics": {"prot": 1}}), "prot"),
        (json!({"podMonitor": {"enabled": true}}), "/metrics/enabled"),
        (json!({"podMonitor": {"interval": "often"}}), "interval"),
        (json!({"podMonitor": {"tlsConfig": {"caFile": "/ca"}}}), "caFile"),
        (json!({"alerts": {"documentation": "docs.example"}}), "documentation"),
        (json!({"dashboards": {"folder": "Mesh"}}), "folder"),
        (json!({"existingConfigMap": "a", "config": {"drain": 1}}), "config"),
        (json!({"hostNetwork": "yes"}), "hostNetwork"),
        (json!({"hostPaths": {"run": "run"}}), "run"),
        (json!({"tolerations": {"operator": "Exists"}}), "tolerations"),
        (json!({"tolerations": [{"operator": "Exist"}]}), "operator"),
        (json!({"updateStrategy": {"rollingUpdate": {"maxSurge": 1}}}), "maxSurge"),
        (json!({"extraCapabilities": ["sys-admin"]}), "extraCapabilities"),
        (json!({"rbac": {"create": 1}}), "create"),
        (json!({"detach": "true"}), "detach"),
    ] {
        let refused = helm.render(&values).expect_err(&values.to_string());
        assert!(refused.contains(part) && refused.contains("schema"), "{values}: {refused}");
    }
}
