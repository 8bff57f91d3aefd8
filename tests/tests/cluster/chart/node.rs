//! The containers of the chart on this machine: with what the chart gives them, and nothing else, they do their work.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use tcproute_tests::{
    Loopback,
    cgroup::{self, TestCgroup},
    client::reaches,
    cluster::{Helm, helm::of_kind},
    container::{Pod, words},
    is_root,
    process::Process,
    routes::OneBackend,
    tcproute::Bpffs,
    wait_for,
};

/// A node with places of its own, a workload and a route.
struct Node {
    /// Somebody is in the workload's network namespace all the time, as in a pod.
    _pause: Process,
    bpffs: Bpffs,
    directory: tempfile::TempDir,
    web: TestCgroup,
    route: OneBackend,
}

impl Node {
    fn new() -> Self {
        let web = TestCgroup::create();
        let node = Self {
            _pause: Process(web.command("sleep").arg("infinity").spawn().unwrap()),
            bpffs: Bpffs::mount(),
            directory: tempfile::tempdir().unwrap(),
            web,
            route: OneBackend::new(Loopback::claim()),
        };
        fs::create_dir(node.at("mesh")).unwrap();
        fs::copy(node.route.mesh.file(), node.at("mesh").join("mesh.yaml")).unwrap();
        node
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Values by which the chart fits to it. The API server has a test of its own, so the mesh is in files.
    fn values(&self, more: &Value) -> Value {
        let mut config = json!({
            "resources": ["/etc/mesh"],
            "workload": {"web": self.web.path().strip_prefix(cgroup::mount()).unwrap()},
        });
        for (flag, value) in more.as_object().unwrap() {
            config[flag] = value.clone();
        }
        json!({
            "config": config,
            "extraVolumes": [{"name": "mesh", "hostPath": {"path": self.at("mesh"), "type": "Directory"}}],
            "extraVolumeMounts": [{"name": "mesh", "mountPath": "/etc/mesh", "readOnly": true}],
            "hostPaths": {"bpffs": self.bpffs.path(), "run": self.at("run"), "state": self.at("state")},
        })
    }

    fn is_routed(&self) -> bool {
        reaches(&self.web, self.route.dialled, "backend")
    }
}

fn command(probe: &Value) -> Vec<&str> {
    words(&probe["exec"]["command"])
}

#[test]
fn the_daemon_has_all_that_it_needs_and_routes_outlive_it_until_they_are_ended() {
    const TEST: &str = "the_daemon_has_all_that_it_needs_and_routes_outlive_it_until_they_are_ended";
    let Some(helm) = Helm::find(TEST) else { return };
    if !is_root(TEST) {
        return;
    }
    for (more, capabilities) in [
        (json!({}), "CAP_BPF CAP_NET_ADMIN CAP_PERFMON CAP_SYS_ADMIN CAP_SYS_PTRACE"),
        (json!({"drain": 1}), "CAP_BPF CAP_NET_ADMIN CAP_PERFMON CAP_SYS_ADMIN CAP_SYS_PTRACE"),
        (json!({"sidecar": "off"}), "CAP_BPF CAP_NET_ADMIN CAP_PERFMON"),
    ] {
        let node = Node::new();
        let objects = helm.objects(&node.values(&more));
        let template = &of_kind(&objects, "DaemonSet")["spec"]["template"];
        let pod = Pod::new(template, &[of_kind(&objects, "ConfigMap")]);
        let container = &template["spec"]["containers"][0];
        let mut daemon = pod.start("containers", "tcproute");
        // As kubelet asks it.
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            daemon.wait_for(&command(&container[probe]));
        }
        wait_for("it is routed", || node.is_routed());
        let status = daemon.exec(&["/usr/bin/tcproute", "status", "--output", "json"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(words(&status["capabilities"]).join(" "), capabilities, "{more}");
        assert_eq!(status["workloads"][0]["attached"], true, "{status}");
        // What it says that it lacks is what it is not given.
        let log = daemon.log();
        let lacks: Vec<&str> = log.lines().filter(|line| !line.contains(" INFO ")).collect();
        match &lacks[..] {
            [] => assert!(capabilities.contains("CAP_SYS_ADMIN")),
            [one] => assert!(
                !capabilities.contains("CAP_SYS_ADMIN") && one.contains("no bpffs can be made"),
                "{one}"
            ),
            several => panic!("{several:#?}"),
        }
        assert!(node.at("run/admin.sock").exists(), "the node reaches it, too");
        assert!(node.at("state").read_dir().unwrap().next().is_some(), "and keeps what it has read");
        assert_eq!(daemon.stop(), Some(0));
        assert!(node.is_routed(), "routes outlive it: {}", daemon.log());

        let objects = helm.objects(&{
            let mut values = node.values(&more);
            values["detach"] = json!(true);
            values
        });
        let template = &of_kind(&objects, "DaemonSet")["spec"]["template"];
        let pod = Pod::new(template, &[]);
        let mut first = pod.start("initContainers", "detach");
        assert_eq!(first.wait(), Some(0), "{}", first.log());
        assert!(first.log().contains("detached from 1 cgroups"), "{}", first.log());
        assert!(!node.is_routed());
        // What stays does nothing but that.
        let mut staying = pod.start("containers", "tcproute");
        wait_for("it has looked", || staying.log().contains("nothing is attached"));
        assert_eq!(staying.stop(), Some(0));
    }
}
