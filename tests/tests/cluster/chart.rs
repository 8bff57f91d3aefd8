//! The Helm chart, the plain manifests and the kustomize base: what is rendered is taken by an API server, and fits the
//! binary.

use std::{collections::BTreeSet, env, fs, path::Path, process::Command};

use serde_json::{Value, json};
use tcproute_tests::{
    cluster::{
        ADMIN, Api, ControlPlane, Helm,
        helm::{deploy, documents, of_kind},
        kinds::{CLUSTER_ROLE, NAMESPACE, POD},
    },
    container::words,
    tcproute::binary,
};

/// With this the manifests are written and not compared, as by `cargo xtask manifests`.
const WRITE: &str = "TCPROUTE_WRITE_DOCS";

/// What users set.
fn matrix() -> Vec<(&'static str, Value)> {
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
        ("a ConfigMap of others", json!({"existingConfigMap": "settings"})),
        ("the end", json!({"detach": true})),
    ]
}

fn daemon_set(objects: &[Value]) -> &Value {
    of_kind(objects, "DaemonSet")
}

fn container(objects: &[Value]) -> &Value {
    &daemon_set(objects)["spec"]["template"]["spec"]["containers"][0]
}

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

/// What the binary goes by where nothing is set.
fn defaults() -> Value {
    let mut config = Command::new(binary());
    let output = config.args(["config", "--output", "json"]).env_clear().output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn default_of(all: &Value, flag: &str) -> String {
    let found = all.as_array().unwrap().iter().find(|it| it["flag"] == flag);
    found.unwrap_or_else(|| panic!("there is no {flag}"))["values"][0].as_str().unwrap().to_owned()
}

fn succeeds(command: &mut Command, what: &str) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_binary_knows_each_command_setting_and_place() {
    let Some(helm) = Helm::find("the_binary_knows_each_command_setting_and_place") else { return };
    let defaults = defaults();
    let directory = |path: &str| Path::new(path).parent().unwrap().to_str().unwrap().to_owned();
    let expected: BTreeSet<String> = [
        "/sys/fs/cgroup".to_owned(),
        default_of(&defaults, "--bpffs"),
        default_of(&defaults, "--state-dir"),
        directory(&default_of(&defaults, "--admin-socket")),
        "/etc/tcproute".to_owned(),
    ]
    .into();
    for (what, values) in matrix() {
        let objects = helm.objects(&values);
        let spec = &daemon_set(&objects)["spec"]["template"]["spec"];
        let containers = ["initContainers", "containers"].map(|which| spec[which].as_array());
        for container in containers.into_iter().flatten().flatten() {
            let probes =
                ["startupProbe", "livenessProbe", "readinessProbe"].map(|probe| &container[probe]["exec"]);
            let commands = probes.into_iter().chain([container]).map(|it| words(&it["command"]));
            for command in commands.filter(|command| !command.is_empty()) {
                assert_eq!(command[0], "/usr/bin/tcproute", "{what}");
                succeeds(Command::new(binary()).args(&command[1..]).arg("--help"), what);
            }
        }
        let config = objects.iter().find(|it| it["kind"] == "ConfigMap");
        if let Some(config) = config {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), config["data"]["config.yaml"].as_str().unwrap()).unwrap();
            let mut command = Command::new(binary());
            command.env_clear().arg("config").arg("--config").arg(file.path());
            succeeds(&mut command, what);
        }
        if values.get("extraVolumes").is_none() && values.get("detach").is_none() {
            let mounts = container(&objects)["volumeMounts"].as_array().unwrap();
            let mounts: BTreeSet<String> =
                mounts.iter().map(|mount| mount["mountPath"].as_str().unwrap().to_owned()).collect();
            assert_eq!(mounts, expected, "{what}");
        }
    }
    // The last of the five is where the binary looks by itself.
    let help = Command::new(binary()).args(["run", "--help"]).output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("[default: /etc/tcproute/config.yaml"));
}

/// What is set comes to the daemon as it was set, also where Helm has read another type.
#[test]
fn settings_come_to_the_daemon_as_they_are_set() {
    let Some(helm) = Helm::find("settings_come_to_the_daemon_as_they_are_set") else { return };
    let text = |config: Value| {
        let objects = helm.objects(&json!({"config": config}));
        of_kind(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap().to_owned()
    };
    assert_eq!(text(json!({"sidecar": false, "events": true})), "events: \"on\"\nsidecar: \"off\"\n");
    assert_eq!(text(json!({"max-remembered-sockets": 40_000_000})), "max-remembered-sockets: 40000000\n");
    assert_eq!(text(json!({"drain": 0.5, "strict": true})), "drain: 0.5\nstrict: true\n");
}

#[test]
fn capabilities_are_those_that_the_settings_need() {
    let Some(helm) = Helm::find("capabilities_are_those_that_the_settings_need") else { return };
    let few = ["BPF", "NET_ADMIN", "PERFMON"];
    let all = [&few[..], &["SYS_ADMIN", "SYS_PTRACE"]].concat();
    for (values, expected) in [
        (json!({}), &all[..]),
        (json!({"config": {"sidecar": "bypass"}}), &all),
        (json!({"config": {"sidecar": "off"}}), &few),
        (json!({"config": {"sidecar": false}}), &few),
        (json!({"config": {"sidecar": "off", "drain": 1}}), &all),
        (json!({"config": {"sidecar": "off"}, "detach": true}), &all),
        (json!({"existingConfigMap": "settings"}), &all),
    ] {
        let objects = helm.objects(&values);
        let context = &container(&objects)["securityContext"];
        assert_eq!(words(&context["capabilities"]["add"]), expected, "{values}");
        assert_eq!(words(&context["capabilities"]["drop"]), ["ALL"], "{values}");
        assert_eq!(context["privileged"], Value::Null, "{values}");
    }
}

#[test]
fn a_start_may_take_as_long_as_its_sources() {
    let Some(helm) = Helm::find("a_start_may_take_as_long_as_its_sources") else { return };
    for (timeout, seconds) in [(json!(30), 90), (json!("300s"), 360), (json!(0.5), 61)] {
        let objects = helm.objects(&json!({"config": {"start-timeout": timeout}}));
        let probe = &container(&objects)["startupProbe"];
        let most = probe["periodSeconds"].as_u64().unwrap() * probe["failureThreshold"].as_u64().unwrap();
        assert!((seconds..=seconds + 1).contains(&most), "{timeout}: {most}");
    }
}

/// The rules of the chart for a cluster, and none where no API server is asked.
#[test]
fn the_rules_are_those_that_the_code_asks_for() {
    let Some(helm) = Helm::find("the_rules_are_those_that_the_code_asks_for") else { return };
    let generated = documents(&fs::read_to_string(deploy("kubernetes/rbac.yaml")).unwrap());
    let objects = helm.objects(&json!({}));
    for kind in ["ClusterRole", "Role"] {
        assert_eq!(of_kind(&objects, kind)["rules"], of_kind(&generated, kind)["rules"], "{kind}");
    }
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        for field in ["roleRef", "subjects"] {
            assert_eq!(of_kind(&objects, kind)[field], of_kind(&generated, kind)[field], "{kind}");
        }
    }
    let mute = helm.objects(&json!({"config": {"events": "off"}}));
    let rules = of_kind(&mute, "ClusterRole")["rules"].as_array().unwrap();
    assert!(rules.iter().all(|rule| rule["apiGroups"][0] != "events.k8s.io"), "{rules:?}");
    let other = helm.objects(&json!({"config": {"system-namespace": "mesh-system"}}));
    assert_eq!(of_kind(&other, "Role")["metadata"]["namespace"], "mesh-system");
    for (config, is_read) in [
        (json!({"url": "http://cp"}), false),
        (json!({"source": "control-plane", "url": "http://cp"}), false),
        (json!({"source": "kubernetes", "url": "http://cp"}), true),
        (json!({"source": ["control-plane", "kubernetes"], "url": "http://cp"}), true),
    ] {
        let objects = helm.objects(&json!({"config": config}));
        assert_eq!(objects.iter().any(|it| it["kind"] == "ClusterRole"), is_read, "{config}");
        let spec = &daemon_set(&objects)["spec"]["template"]["spec"];
        assert_eq!(spec["automountServiceAccountToken"], is_read, "{config}");
    }
}

/// Another configuration replaces the pods.
#[test]
fn the_pods_are_of_one_configuration() {
    let Some(helm) = Helm::find("the_pods_are_of_one_configuration") else { return };
    let annotation = |config: Value| {
        let objects = helm.objects(&json!({"config": config}));
        daemon_set(&objects)["spec"]["template"]["metadata"]["annotations"]["checksum/config"].clone()
    };
    assert_eq!(annotation(json!({"drain": 1})), annotation(json!({"drain": 1})));
    assert_ne!(annotation(json!({"drain": 1})), annotation(json!({"drain": 2})));
}

/// Before 1.30 AppArmor is told by annotations, and by a field from then on.
#[test]
fn older_clusters_are_told_of_apparmor_in_their_way() {
    let Some(helm) = Helm::find("older_clusters_are_told_of_apparmor_in_their_way") else { return };
    for (version, by_field) in
        [("1.21.0", false), ("v1.29.5-eks-1", false), ("1.30.0", true), ("v1.37.2", true)]
    {
        let objects = documents(&helm.render_for(version, &json!({})).unwrap());
        let annotations = &daemon_set(&objects)["spec"]["template"]["metadata"]["annotations"];
        let annotation = &annotations["container.apparmor.security.beta.kubernetes.io/tcproute"];
        let field = &container(&objects)["securityContext"]["appArmorProfile"]["type"];
        let expected = (json!("Unconfined"), Value::Null);
        assert_eq!(
            (field.clone(), annotation.clone()),
            if by_field { expected } else { (Value::Null, json!("unconfined")) }
        );
    }
    assert!(helm.render_for("1.20.0", &json!({})).unwrap_err().contains("1.21.0"));
}

const HEAD: &str = "# Made from the chart by `cargo xtask manifests`, not by hand.\n";

/// The namespace is the user's own matter where Helm is used.
const NAMESPACE_TEXT: &str = "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: tcproute\n  labels:\n    \
                              pod-security.kubernetes.io/enforce: privileged\n";

#[test]
fn manifests_are_what_the_chart_renders() {
    let Some(helm) = Helm::find("manifests_are_what_the_chart_renders") else { return };
    let of_base = json!({"existingConfigMap": "tcproute"});
    for (file, namespace, values) in [
        ("manifests/tcproute.yaml", NAMESPACE_TEXT, json!({})),
        ("manifests/detach.yaml", NAMESPACE_TEXT, json!({"detach": true, "rbac": {"create": false}})),
        ("kustomize/base/tcproute.yaml", NAMESPACE_TEXT, of_base),
    ] {
        let rendered = helm.render(&values).unwrap();
        // Where in the chart each is from is told by what it is.
        let lines = rendered.lines().filter(|line| !line.starts_with("# Source: "));
        let text: String = lines.map(|line| format!("{}\n", line.trim_end())).collect();
        let (text, path) = (format!("{HEAD}{namespace}{text}"), deploy(file));
        if env::var_os(WRITE).is_some() {
            fs::write(&path, text).unwrap();
            continue;
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "deploy/{file} is of another day: run `cargo xtask manifests`");
    }
}

/// By kustomize come the same objects, but for the name of the ConfigMap.
#[test]
fn the_base_is_the_chart_and_an_overlay_changes_it() {
    let Some(helm) = Helm::find("the_base_is_the_chart_and_an_overlay_changes_it") else { return };
    let base = helm.kustomize(&deploy("kustomize/base"));
    let mut kinds: Vec<&Value> = base.iter().map(|object| &object["kind"]).collect();
    let plain = documents(&fs::read_to_string(deploy("manifests/tcproute.yaml")).unwrap());
    let mut expected: Vec<&Value> = plain.iter().map(|object| &object["kind"]).collect();
    kinds.sort_by_key(|kind| kind.to_string());
    expected.sort_by_key(|kind| kind.to_string());
    assert_eq!(kinds, expected);

    let overlay = helm.kustomize(&deploy("kustomize/example"));
    let config = of_kind(&overlay, "ConfigMap");
    assert!(config["data"]["config.yaml"].as_str().unwrap().contains("eject-after: 3"), "{config}");
    let name = config["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("tcproute-"), "{name}");
    let spec = &daemon_set(&overlay)["spec"]["template"]["spec"];
    let volumes = spec["volumes"].as_array().unwrap();
    assert!(volumes.iter().any(|volume| volume["configMap"]["name"] == name), "{volumes:?}");
    let image = container(&overlay)["image"].as_str().unwrap();
    assert!(image.starts_with("registry.example/mesh/tcproute:"), "{image}");
    assert_eq!(spec["nodeSelector"]["example.com/mesh"], "true");
    assert_ne!(name, of_kind(&base, "ConfigMap")["metadata"]["name"]);
    for (text, what) in [("eject-after: 3\ndrain: 60\n", "example"), ("{}\n", "base")] {
        let file = fs::read_to_string(deploy(&format!("kustomize/{what}/config.yaml"))).unwrap();
        assert!(file.ends_with(text), "{file}");
        let mut command = Command::new(binary());
        command
            .env_clear()
            .arg("config")
            .arg("--config")
            .arg(deploy(&format!("kustomize/{what}/config.yaml")));
        succeeds(&mut command, what);
    }
}

/// The component for an overlay makes of the base what the chart is with `detach`.
#[test]
fn an_overlay_detaches_as_the_chart_does() {
    let Some(helm) = Helm::find("an_overlay_detaches_as_the_chart_does") else { return };
    let copy = tempfile::tempdir().unwrap();
    let mut command = Command::new("cp");
    command.arg("-r").args(["base", "detach"].map(|name| deploy("kustomize").join(name))).arg(copy.path());
    succeeds(&mut command, "cp");
    let overlay = copy.path().join("overlay");
    fs::create_dir(&overlay).unwrap();
    let text = "resources: [../base]\ncomponents: [../detach]\nimages: [{name: tcproute, newTag: other}]\n";
    fs::write(overlay.join("kustomization.yaml"), text).unwrap();
    let objects = helm.kustomize(&overlay);
    let charts = helm.objects(&json!({"detach": true, "image": {"tag": "other"}}));
    let [ours, charts] = [&objects, &charts].map(|objects| &daemon_set(objects)["spec"]);
    assert_eq!(ours["updateStrategy"], charts["updateStrategy"]);
    let [ours, charts] = [ours, charts].map(|spec| &spec["template"]["spec"]);
    let ignored = |container: &Value| {
        let mut container = container.clone();
        container.as_object_mut().unwrap().remove("imagePullPolicy");
        container
    };
    assert_eq!(ignored(&ours["initContainers"][0]), ignored(&charts["initContainers"][0]));
    for field in ["command", "securityContext", "startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(ours["containers"][0][field], charts["containers"][0][field], "{field}");
    }
}

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
        objects.iter().for_each(|object| is_taken(&api, object, what));
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
