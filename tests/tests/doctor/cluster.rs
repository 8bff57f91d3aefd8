//! A node of a cluster: directories of pods as kubelet and runtimes make them, in a part of the hierarchy of a test's
//! own, and processes and network namespaces as a sidecar has them.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tcproute_tests::{
    cgroup::TestCgroup,
    is_root,
    process::Process,
    sidecar::{Backend, Families, PYTHON, Pod, Redirection, Version},
    tcproute::{Bpffs, binary},
};

use crate::{checks, doctor, report};

const UID: &str = "0f7c0a1b_5f3e_4c57_9f0a_7a2b1c3d4e5f";

/// A container of a pod, as containerd and kubelet with the systemd driver call its cgroup.
fn container(slice: &TestCgroup) -> TestCgroup {
    let id = "ab".repeat(32);
    let pod = format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID}.slice");
    slice.descendant(&format!("{pod}/cri-containerd-{id}.scope"))
}

#[test]
fn a_node_of_a_cluster_is_told_its_driver_and_runtime() {
    if !is_root("a_node_of_a_cluster_is_told_its_driver_and_runtime") {
        return;
    }
    let bpffs = Bpffs::mount();
    let slice = TestCgroup::create_slice();
    let _container = container(&slice);
    let report = report(&doctor(&mut Command::new(binary()), bpffs.path()));
    // Other tests may have pods at the same time.
    let has = |field: &str, value: Value| report["cluster"][field].as_array().unwrap().contains(&value);
    assert!(has("cgroupDrivers", json!("systemd")), "{report:#}");
    assert!(report["cluster"]["containers"]["containerd"].as_u64() >= Some(1), "{report:#}");
    assert!(report["cluster"]["pods"].as_u64() >= Some(1), "{report:#}");
    let [_, found, _] = &checks(&report, "pods")[0];
    assert!(found.contains(&slice.path().join("kubepods.slice").display().to_string()), "{found}");
    assert!(checks(&report, "cgroup-driver")[0][1].contains("systemd"), "{report:#}");
    assert!(checks(&report, "runtime")[0][1].contains("containerd: "), "{report:#}");
}

#[test]
fn pods_in_another_pid_namespace_are_told_as_not_seen() {
    if !is_root("pods_in_another_pid_namespace_are_told_as_not_seen") {
        return;
    }
    let bpffs = Bpffs::mount();
    let slice = TestCgroup::create_slice();
    let container = container(&slice);
    let mut sleeper = container.command("sh");
    sleeper.args(["-c", "echo in; exec cat > /dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let _sleeper = started(sleeper);
    let mut inside = Command::new("unshare");
    inside.args(["--pid", "--fork", "--mount-proc"]).arg(binary());
    let report = report(&doctor(&mut inside, bpffs.path()));
    let [status, found, remedy] = &checks(&report, "pod-processes")[0];
    assert_eq!(status, "warning", "{found}");
    assert!(remedy.contains("hostPID"), "{remedy}");
    assert!(report["cluster"]["hiddenProcesses"].as_u64() >= Some(1), "{report:#}");
}

/// A process that has printed `in`, and ends with its input.
fn started(mut command: Command) -> Process {
    let mut process = Process(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "in\n");
    process
}

const TOKEN: &str = "planted-secret-of-a-dataplane";

/// What kuma-dp starts Envoy with, as far as it matters.
fn bootstrap() -> String {
    format!(
        "dynamicResources:\n  adsConfig:\n    grpcServices:\n    - initialMetadata:\n      - key: authorization\n        \
         value: {TOKEN}\nnode:\n  metadata:\n    dataplane.token: {TOKEN}\n    version:\n      envoy:\n        \
         version: 1.22.7\n      kumaDp:\n        version: 2.4.10\n"
    )
}

const ENVOY: &str = "import os, sys
if sys.argv[1]: os.chroot(sys.argv[1])
print('in', flush=True)
sys.stdin.read()";

const KUMA_DP: &str = "import subprocess, sys
subprocess.run(sys.argv[1:])";

/// kuma-dp and its Envoy, which has this file, after both have entered a root of their own if one is given.
fn sidecar(bin: &Path, config: &str, root: Option<&Path>) -> Process {
    for name in ["kuma-dp", "envoy"] {
        let at = bin.join(name);
        if !at.exists() {
            symlink(PYTHON, at).unwrap();
        }
    }
    let mut kuma_dp = Command::new(bin.join("kuma-dp"));
    kuma_dp.args(["-SEc", KUMA_DP]).arg(bin.join("envoy")).args(["-SEc", ENVOY]);
    kuma_dp.arg(root.unwrap_or(Path::new(""))).args(["--config-path", config]);
    kuma_dp.stdin(Stdio::piped()).stdout(Stdio::piped());
    started(kuma_dp)
}

fn sidecar_of(report: &Value, process: &Process) -> Value {
    let sidecars = report["sidecars"].as_array().unwrap();
    let of = sidecars.iter().find(|sidecar| sidecar["pid"] == process.0.id());
    of.unwrap_or_else(|| panic!("{report:#}")).clone()
}

#[test]
fn the_version_of_a_sidecar_is_read_where_kuma_has_written_it() {
    if !is_root("the_version_of_a_sidecar_is_read_where_kuma_has_written_it") {
        return;
    }
    let bpffs = Bpffs::mount();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("bootstrap.yaml");
    fs::write(&config, bootstrap()).unwrap();
    let known = sidecar(directory.path(), config.to_str().unwrap(), None);
    // One that leads out of its own root, to where there is a version.
    let root = tempfile::tempdir().unwrap();
    symlink(&config, root.path().join("link")).unwrap();
    let outside = sidecar(directory.path(), "/link", Some(root.path()));
    // And one in its own root.
    fs::write(root.path().join("own.yaml"), bootstrap().replace("2.4.10", "2.14.3")).unwrap();
    let inside = sidecar(directory.path(), "/own.yaml", Some(root.path()));

    let output = doctor(&mut Command::new(binary()), bpffs.path());
    assert!(!String::from_utf8_lossy(&output.stdout).contains(TOKEN));
    let report = report(&output);
    let namespace = fs::metadata("/proc/self/ns/net").unwrap().ino();
    let of = sidecar_of(&report, &known);
    assert_eq!((&of["kumaDp"], &of["envoy"]), (&json!("2.4.10"), &json!("1.22.7")), "{of}");
    assert_eq!(of["networkNamespace"], namespace);
    let of = sidecar_of(&report, &outside);
    assert!(of["kumaDp"].is_null(), "{of}");
    assert!(of["unknown"].as_str().unwrap().contains("No such file"), "{of}");
    assert_eq!(sidecar_of(&report, &inside)["kumaDp"], "2.14.3");
    let found = checks(&report, "sidecar-version");
    assert!(
        found.iter().any(|[_, found, _]| found.ends_with("of kuma-dp 2.4.10 with Envoy 1.22.7")),
        "{found:?}"
    );
}

#[test]
fn the_backend_of_a_sidecars_rules_is_told_by_namespace() {
    let test = "the_backend_of_a_sidecars_rules_is_told_by_namespace";
    if !is_root(test) {
        return;
    }
    let bpffs = Bpffs::mount();
    let slice = TestCgroup::create_slice();
    let container = container(&slice);
    let mut expected = Vec::new();
    let mut pods = Vec::new();
    for (backend, name) in [(Backend::Nft, "iptables-nft"), (Backend::Legacy, "iptables-legacy")] {
        let redirection = Redirection::new(backend, Families::V4, Version::V2_4);
        let Some(pod) = Pod::of(test).filter(|pod| redirection.is_possible(pod, test)) else { return };
        redirection.install(&pod);
        expected.push((pod, "kuma", name));
    }
    let Some(pod) = Pod::of(test) else { return };
    let rules = "add table inet istio-ambient-nat; add chain inet istio-ambient-nat istio-output";
    assert!(pod.command(None, 0, "nft").arg(rules).status().unwrap().success());
    expected.push((pod, "istio-ambient", "nftables"));
    for (pod, ..) in &expected {
        pods.push(pod.pause(&container));
    }
    let report = report(&doctor(&mut Command::new(binary()), bpffs.path()));
    let redirections = report["redirections"].as_array().unwrap();
    for (pod, by, backend) in &expected {
        let namespace = fs::metadata(pod.namespace()).unwrap().ino();
        let of: Vec<&Value> = redirections.iter().filter(|it| it["networkNamespace"] == namespace).collect();
        assert_eq!(of, [&json!({"networkNamespace": namespace, "by": by, "backend": backend})], "{report:#}");
    }
    let [_, found, _] = &checks(&report, "sidecar-rules")[0];
    assert!(found.contains("by iptables-nft in ") && found.contains("by iptables-legacy in "), "{found}");
    assert!(checks(&report, "istio")[0][1].contains("both get along"), "{report:#}");
}
