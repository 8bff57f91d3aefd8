//! What the chart says fits the binary: commands, settings and places.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;
use tcproute_tests::{cluster::Helm, container::words, tcproute::binary};

use super::{container, daemon_set, matrix, succeeds};

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
            let commands = probes
                .into_iter()
                .chain([container])
                .map(|it| [words(&it["command"]), words(&it["args"])].concat());
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
        if ["detach", "extraVolumes", "metrics"].iter().all(|value| values.get(value).is_none()) {
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
