//! What is made from the chart: the plain manifests and the kustomize base.

use std::{env, fs, process::Command};

use serde_json::{Value, json};
use tcproute_tests::{
    cluster::{
        Helm,
        helm::{deploy, documents, of_kind},
    },
    tcproute::binary,
};

use super::{container, daemon_set, succeeds};

/// With this the manifests are written and not compared, as by `cargo xtask manifests`.
const WRITE: &str = "TCPROUTE_WRITE_DOCS";

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
        let lines: Vec<&str> = lines.map(str::trim_end).collect();
        let (text, path) = (format!("{HEAD}{namespace}{}\n", lines.join("\n")), deploy(file));
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
    kinds.sort_by_key(ToString::to_string);
    expected.sort_by_key(ToString::to_string);
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
