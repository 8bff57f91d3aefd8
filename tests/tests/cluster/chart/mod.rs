//! The Helm chart, the plain manifests and the kustomize base.

mod binary;
mod files;
mod node;
mod rendered;
mod server;
mod values;

use std::process::Command;

use serde_json::{Value, json};
use tcproute_tests::cluster::helm::of_kind;

/// What users set.
pub(super) fn matrix() -> Vec<(&'static str, Value)> {
    let secret = json!({"name": "cp", "secret": {"secretName": "cp", "defaultMode": 0o400}});
    vec![
        ("as by default", json!({})),
        ("without sidecars", json!({"config": {"sidecar": "off", "events": "off"}})),
        ("as Helm reads off", json!({"config": {"sidecar": false, "events": false}})),
        ("without sidecars, with drain", json!({"config": {"sidecar": "off", "drain": 30}})),
        (
            "a control plane",
            json!({
                "config": {
                    "url": "https://cp:5682", "ca": "/etc/cp/ca.crt", "token-file": "/etc/cp/token",
                    "mesh": ["default", "other"], "workload": "auto", "poll-interval": "2s",
                },
                "hostNetwork": true,
                "extraVolumes": [secret],
                "extraVolumeMounts": [{"name": "cp", "mountPath": "/etc/cp", "readOnly": true}],
            }),
        ),
        (
            "two sources",
            json!({"config": {"source": ["kubernetes", "control-plane"], "url": "http://cp:5681",
                              "system-namespace": "mesh-system"}}),
        ),
        (
            "numbers",
            json!({"config": {
                "eject-after": 3, "eject-for": 0.5, "max-map-memory": 4096, "max-remembered-sockets": 40_000_000,
                "start-timeout": 300, "sidecar-uid": 0, "allow-loopback": true, "lenient": true, "compat": "2.4",
                "deny-cidr": ["10.0.0.1/32"], "pods": "app=web,tier!=cache", "workload": {"web": "/web.service"},
            }}),
        ),
        (
            "all else",
            json!({
                "image": {"repository": "registry.example/tcproute", "digest": format!("sha256:{:064}", 1)},
                "imagePullSecrets": [{"name": "pull"}],
                "fullnameOverride": "router",
                "env": [{"name": "RUST_LOG", "value": "debug"}],
                "serviceAccount": {"create": false, "name": "other"},
                "updateStrategy": {"type": "OnDelete", "rollingUpdate": null},
                "priorityClassName": "system-cluster-critical",
                "nodeSelector": {"pool": "mesh"},
                "tolerations": [{"key": "mesh", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "mesh", "operator": "Exists"}]}],
                }}},
                "podAnnotations": {"a": "b"},
                "podLabels": {"c": "d"},
                "resources": {"limits": {"memory": "4Gi"}},
                "extraCapabilities": ["SYS_RESOURCE"],
                "seccompProfile": {"type": "Unconfined"},
            }),
        ),
        (
            "metrics for others",
            json!({
                "metrics": {"enabled": true, "tls": {"secretName": "tls"}, "token": {"secretName": "token"}},
                "podMonitor": {"enabled": true},
            }),
        ),
        (
            "metrics for certificates",
            json!({
                "metrics": {"enabled": true, "address": "::", "port": 9443, "tls": {"secretName": "tls"},
                            "clientCA": {"secretName": "ca", "key": "authority.pem"}},
                "podMonitor": {
                    "enabled": true, "labels": {"release": "prometheus"}, "interval": "1m30s", "scrapeTimeout": "5s",
                    "tlsConfig": {"cert": {"secret": {"name": "prometheus", "key": "tls.crt"}},
                                  "keySecret": {"name": "prometheus", "key": "tls.key"}, "serverName": "node"},
                    "relabelings": [{"targetLabel": "cluster", "replacement": "one"}],
                    "metricRelabelings": [{"sourceLabels": ["cgroup"], "regex": ".*", "action": "labeldrop"}],
                },
            }),
        ),
        (
            "metrics for everybody",
            json!({"metrics": {"enabled": true, "insecure": true}, "podMonitor": {"enabled": true}}),
        ),
        (
            "alerts and dashboards",
            json!({
                "alerts": {"enabled": true, "labels": {"release": "prometheus"},
                           "documentation": "https://docs.example/tcproute/"},
                "dashboards": {"enabled": true, "annotations": {"grafana_folder": "Mesh"}},
            }),
        ),
        ("a ConfigMap of others", json!({"existingConfigMap": "settings"})),
        ("the end", json!({"detach": true})),
    ]
}

pub(super) fn daemon_set(objects: &[Value]) -> &Value {
    of_kind(objects, "DaemonSet")
}

pub(super) fn container(objects: &[Value]) -> &Value {
    &daemon_set(objects)["spec"]["template"]["spec"]["containers"][0]
}

pub(super) fn succeeds(command: &mut Command, what: &str) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}
