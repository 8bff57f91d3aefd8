//! What `tcproute doctor` says of rights: an API server tells itself what it allows.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use tcproute_tests::{
    cluster::{ADMIN, ControlPlane, TCPROUTE, User, rbac},
    tcproute::binary,
    wait_for,
};

fn doctor(kubeconfig: &Path) -> Value {
    let mut doctor = Command::new(binary());
    doctor.args(["doctor", "--output", "json", "--kubeconfig"]).arg(kubeconfig);
    let output = doctor.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// What was found and the remedy.
fn api_rights(report: &Value) -> Vec<[String; 3]> {
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["id"] == "api-rights");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    checks.map(|check| ["status", "found", "remedy"].map(|field| text(&check[field]))).collect()
}

#[test]
fn rights_that_are_missing_are_told_with_the_rule() {
    let test = "rights_that_are_missing_are_told_with_the_rule";
    let Some(cluster) = ControlPlane::own(test) else { return };
    let of = |user: User| doctor(&cluster.kubeconfig(user));
    let all = of(ADMIN);
    assert_eq!(all["apiDenies"], json!([]), "{all:#}");
    assert_eq!(api_rights(&all)[0][0], "ok");

    let [status, found, remedy] = &api_rights(&of(TCPROUTE))[0];
    assert_eq!(status, "warning");
    assert!(found.contains("may not list, watch meshes.kuma.io") && found.contains("more"), "{found}");
    assert!(remedy.contains("deploy/kubernetes/rbac.yaml"), "{remedy}");

    let rules = json!([
        {"apiGroups": ["kuma.io", "apiextensions.k8s.io", "discovery.k8s.io"], "resources": ["*"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["pods", "namespaces", "services", "configmaps"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["namespaces", "services", "configmaps"], "verbs": ["watch"]},
        {"nonResourceURLs": ["/apis/kuma.io/v1alpha1"], "verbs": ["get"]},
    ]);
    rbac::grant(&cluster.api(), TCPROUTE, "doctor-of-a-test", &rules);
    let mut some = Value::Null;
    wait_for("the grant is known", || {
        some = of(TCPROUTE);
        some["apiDenies"].as_array().is_some_and(|denied| denied.len() < 3)
    });
    rbac::revoke(&cluster.api(), "doctor-of-a-test");
    assert_eq!(some["apiDenies"], json!(["watch pods", "create, patch events.events.k8s.io"]), "{some:#}");
    let denied = api_rights(&some);
    assert_eq!(denied[0][1], "may not watch pods");
    assert!(denied[0][2].contains("resources: [pods], verbs: [list, watch]"), "{denied:?}");
    assert!(denied[1][1].contains("not told in the cluster"), "{denied:?}");
}
