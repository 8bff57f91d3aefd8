//! A real API server takes all of it, and Helm installs it there.

use std::fs;

use serde_json::{Value, json};
use tcproute_tests::{
    cluster::{
        ADMIN, Api, ControlPlane, Helm, crds,
        helm::{deploy, documents},
        kinds::{CLUSTER_ROLE, NAMESPACE, POD},
    },
    container::words,
};

use super::{daemon_set, matrix};

/// Has the namespaces of the manifests.
fn with_namespaces(api: &Api) {
    for name in ["tcproute", "kuma-system", "mesh-system"] {
        let answer = api.try_ask(
            "POST",
            "/api/v1/namespaces",
            Some(("application/json", &NAMESPACE.object(name, json!({})))),
        );
        assert!([201, 409].contains(&answer.unwrap().status));
    }
}

/// Where an object of this kind is made. Nothing is made there, and what is not known is refused.
fn dry_run(object: &Value) -> String {
    let plural = match object["kind"].as_str().unwrap() {
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        "ConfigMap" => "configmaps",
        "DaemonSet" => "daemonsets",
        "Namespace" => "namespaces",
        "PodMonitor" => "podmonitors",
        "PrometheusRule" => "prometheusrules",
        "Role" => "roles",
        "RoleBinding" => "rolebindings",
        "ServiceAccount" => "serviceaccounts",
        other => panic!("what is a {other}?"),
    };
    let version = object["apiVersion"].as_str().unwrap();
    let root = if version.contains('/') { "apis" } else { "api" };
    let namespace = object["metadata"]["namespace"].as_str();
    let namespace = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
    format!("/{root}/{version}{namespace}/{plural}?dryRun=All&fieldValidation=Strict")
}

fn is_taken(api: &Api, object: &Value, what: &str) {
    let answer = api.try_ask("POST", &dry_run(object), Some(("application/json", object))).unwrap();
    let is_there = object["kind"] == "Namespace" && answer.status == 409;
    assert!(is_there || answer.status == 201, "{what}: {answer:?}");
}

#[test]
fn an_api_server_takes_all_that_is_rendered() {
    const TEST: &str = "an_api_server_takes_all_that_is_rendered";
    let (Some(helm), Some(cluster)) = (Helm::find(TEST), ControlPlane::shared(TEST)) else { return };
    let api = cluster.api();
    with_namespaces(&api);
    crds::install_monitoring(&api);
    let version = cluster.version()["gitVersion"].as_str().unwrap().to_owned();
    let mut all: Vec<(String, Vec<Value>)> = Vec::new();
    for (what, values) in matrix() {
        all.push((what.to_owned(), documents(&helm.render_for(&version, &values).unwrap())));
    }
    for file in ["manifests/tcproute.yaml", "manifests/detach.yaml"] {
        all.push((file.to_owned(), documents(&fs::read_to_string(deploy(file)).unwrap())));
    }
    for directory in ["kustomize/base", "kustomize/example"] {
        all.push((directory.to_owned(), helm.kustomize(&deploy(directory))));
    }
    for (what, objects) in &all {
        assert!(objects.iter().any(|object| object["kind"] == "DaemonSet"), "{what}");
        for object in objects {
            is_taken(&api, object, what);
        }
    }
    // What it does not know it would not have taken.
    let mut wrong = daemon_set(&all[0].1).clone();
    wrong["spec"]["template"]["spec"]["hostPid"] = json!(true);
    let answer = api.try_ask("POST", &dry_run(&wrong), Some(("application/json", &wrong))).unwrap();
    assert!(answer.status == 400 && answer.body.contains("hostPid"), "{answer:?}");
}

/// As the guides say it.
#[test]
fn a_release_is_installed_detached_and_uninstalled() {
    const TEST: &str = "a_release_is_installed_detached_and_uninstalled";
    let (Some(helm), Some(cluster)) = (Helm::find(TEST), ControlPlane::shared(TEST)) else { return };
    let (api, namespace) = (cluster.api(), cluster.namespace());
    let kubeconfig = cluster.kubeconfig(ADMIN);
    let place = ["--namespace", &namespace, "--kubeconfig", kubeconfig.to_str().unwrap()];
    let run = |arguments: &[&str], values: Option<&Value>| {
        let said = helm.run(&[arguments, &place[..]].concat(), values);
        said.unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    };
    let name = format!("{namespace}-tcproute");
    let object = |plural: &str| {
        let answer = api.ask("GET", &format!("/apis/apps/v1/namespaces/{namespace}/{plural}/{name}"));
        (answer.status == 200).then(|| answer.json())
    };
    let values = json!({"config": {"system-namespace": namespace, "drain": 5}});
    let notes = run(&["install", &namespace], Some(&values));
    assert!(
        notes.contains(&format!("kubectl rollout status daemonset/{name} --namespace {namespace}")),
        "{notes}"
    );
    assert!(notes.contains("pod-security.kubernetes.io/enforce=privileged"), "{notes}");
    let spec = |installed: Option<Value>| installed.unwrap()["spec"]["template"]["spec"].clone();
    let installed = spec(object("daemonsets"));
    assert_eq!(words(&installed["containers"][0]["command"]), ["/usr/bin/tcproute", "run"]);
    assert!(api.get(&CLUSTER_ROLE, &name).is_some());

    let notes = run(&["upgrade", &namespace, "--reuse-values", "--set", "detach=true"], Some(&json!({})));
    assert!(notes.contains(&format!("helm uninstall {namespace}")), "{notes}");
    let detaching = spec(object("daemonsets"));
    assert_eq!(words(&detaching["initContainers"][0]["command"]), ["/usr/bin/tcproute", "detach"]);
    assert_eq!(words(&detaching["containers"][0]["command"]), ["/usr/bin/tcproute", "detach", "--stay"]);
    assert_eq!(detaching["containers"][0]["livenessProbe"], Value::Null);

    run(&["uninstall", &namespace], None);
    assert_eq!((object("daemonsets"), api.get(&CLUSTER_ROLE, &name)), (None, None));
}

/// The level of Pod Security that its namespace needs, as the documentation says.
#[test]
fn the_pods_need_a_privileged_namespace() {
    const TEST: &str = "the_pods_need_a_privileged_namespace";
    let (Some(helm), Some(cluster)) = (Helm::find(TEST), ControlPlane::shared(TEST)) else { return };
    let api = cluster.api();
    let objects = helm.objects(&json!({"config": {"sidecar": "off"}}));
    for (level, code) in [("baseline", 403), ("privileged", 201)] {
        let namespace = cluster.namespace();
        let label = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}});
        api.patch(&NAMESPACE, &namespace, &label);
        let spec = daemon_set(&objects)["spec"]["template"]["spec"].clone();
        let pod = POD.object(&format!("{namespace}/tcproute"), json!({"spec": spec}));
        let path = format!("{}?dryRun=All&fieldValidation=Strict", POD.collection(Some(&namespace)));
        let answer = api.try_ask("POST", &path, Some(("application/json", &pod))).unwrap();
        assert_eq!(answer.status, code, "{level}: {answer:?}");
        assert!(code != 403 || answer.body.contains("hostPID"), "{answer:?}");
    }
}
