//! What is learned from a cluster, and what of it counts.

use std::{collections::BTreeSet, fs, net::SocketAddr, path::Path, process::Command};

use serde_json::{Value, json};
use tcproute_tests::{
    client::{reaches, stdout},
    cluster::{
        ADMIN, ControlPlane, TCPROUTE, crds,
        kinds::{
            CONFIG_MAP, DATAPLANE, EVENT, EXTERNAL_SERVICE, MESH, MESH_METRIC, MESH_SERVICE, MESH_TCP_ROUTE,
            SERVICE,
        },
        rbac,
    },
    is_root,
    tcproute::{Daemon, binary},
    wait_for,
};

use crate::node::{Node, attached, failing};

/// What pods dial is where the control plane keeps it (2.4 to 2.14), in either of its models.
#[test]
fn what_pods_dial_is_read_from_the_control_planes_config_map() {
    let Some(node) = Node::of("what_pods_dial_is_read_from_the_control_planes_config_map") else { return };
    let (tag, cluster_ip) = node.database();
    node.endpoint("db-1", &tag, "v1");
    node.endpoint("db-2", &tag, "v2");
    node.route("all", &tag, &[("v1", 1)]);
    let daemon = node.daemon(&[]);
    let pod = node.running_pod("web");
    pod.gets_to(cluster_ip, "v1");

    let by_hostname = json!({
        format!("0:{tag}"): {"address": "240.0.0.1", "outbounds":
            [{"Port": 5432, "TagSet": {"kuma.io/service": tag}, "Origin": "service"}]},
        "2:second.mesh": {"address": "240.0.0.2", "outbounds":
            [{"Port": 9, "TagSet": {"kuma.io/service": tag, "version": "v2"}, "Origin": "virtual-outbound:x"}]},
    });
    let name = format!("kuma-{}-dns-vips", node.name);
    let config_map = |config: &Value| json!({"data": {"config": config.to_string()}});
    node.api.create(&CONFIG_MAP, &CONFIG_MAP.object(&node.place(&name), config_map(&by_hostname)));
    for dialled in ["240.0.0.1:5432", "240.0.0.1:80", "240.0.0.2:9"] {
        pod.gets_to(dialled.parse().unwrap(), "v1");
    }
    let routes = |daemon: &Daemon| -> BTreeSet<String> {
        let all = daemon.json("/v1/routes");
        let routes = all[0]["routes"].as_array().unwrap().iter();
        routes.map(|it| format!("{}:{}", it["address"].as_str().unwrap(), it["port"])).collect()
    };
    assert!(!routes(&daemon).contains(&cluster_ip.to_string()), "the control plane does not have it");

    let tags_first = json!({"v": {&tag: {"oe": [
        {"ap": [
            {"a": cluster_ip.ip(), "p": 5432, "o": "k8s"}, {"a": "240.0.0.3", "p": 5432, "o": "svc"},
        ]},
    ]}}});
    node.api.patch(&CONFIG_MAP, &node.place(&name), &config_map(&tags_first));
    for dialled in [cluster_ip, "240.0.0.3:5432".parse().unwrap()] {
        pod.gets_to(dialled, "v1");
    }
    wait_for("the others are gone", || !routes(&daemon).contains("240.0.0.1:5432"));
    node.api.delete(&CONFIG_MAP, &node.place(&name));
    wait_for("Services count again", || routes(&daemon) == BTreeSet::from([cluster_ip.to_string()]));
}

#[test]
fn what_pods_dial_is_read_from_mesh_services() {
    let Some(node) = Node::of("what_pods_dial_is_read_from_mesh_services") else { return };
    let (tag, cluster_ip) = node.database();
    node.endpoint("db-1", &tag, "v1");
    node.endpoint("db-2", &tag, "v2");
    let service = json!({
        "metadata": {"labels": {"kuma.io/mesh": node.name, "app": "db"}},
        "spec": {
            "selector": {"dataplaneTags": {"kuma.io/service": tag}},
            "ports": [{"port": 5432, "targetPort": 5432, "appProtocol": "tcp"}],
        },
        "status": {"vips": [{"ip": cluster_ip.ip()}, {"ip": "241.0.0.9"}, {"ip": "192.0.2.1"}]},
    });
    node.api.create(&MESH_SERVICE, &MESH_SERVICE.object(&node.place("db"), service));
    let route = json!({
        "metadata": {"labels": {"kuma.io/mesh": node.name}},
        "spec": {"targetRef": {"kind": "Mesh"}, "to": [{
            "targetRef": {"kind": "MeshService", "labels": {"app": "db"}},
            "rules": [{"default": {"backendRefs": [
                {"kind": "MeshServiceSubset", "name": tag, "tags": {"version": "v2"}, "weight": 1},
            ]}}],
        }]},
    });
    node.api.create(&MESH_TCP_ROUTE, &MESH_TCP_ROUTE.object(&node.place("labels"), route));
    let daemon = node.daemon(&["--compat", "latest"]);
    let pod = node.running_pod("web");
    attached(&daemon, 1);
    for dialled in [cluster_ip, "241.0.0.9:5432".parse().unwrap()] {
        pod.gets_to(dialled, "v2");
    }
    // One that is neither the mesh's nor that of a Service is no address of it.
    let denied = daemon.metric("tcproute_denied_addresses{reason=\"outside_vip_cidr\"}");
    assert_eq!(denied, 1);
}

/// Only what a policy names is routed, so a cluster with many services costs a node nothing.
#[test]
fn what_no_policy_names_is_left_to_the_cluster() {
    const SERVICES: u16 = 60;
    let Some(node) = Node::of("what_no_policy_names_is_left_to_the_cluster") else { return };
    for number in 0..SERVICES {
        let (name, tag) = (format!("s{number}"), node.tag(&format!("s{number}"), 80));
        node.service(&name, 80, &json!({"app": name}));
        let inbounds = json!([{"port": 80, "tags": {"kuma.io/service": tag, "version": "v1"}}]);
        node.dataplane(&name, &format!("192.0.2.{number}"), &inbounds);
    }
    let (tag, dialled) = node.database();
    node.endpoint("db", &tag, "v1");
    let daemon = node.daemon(&[]);
    let pods = ["one", "two", "three"].map(|name| node.running_pod(name));
    attached(&daemon, 3);
    let entries = || daemon.metric("tcproute_map_entries{map=\"routes\"}");
    assert_eq!(entries(), 0, "no policy names anything");
    node.route("db", &tag, &[("v1", 1)]);
    pods[0].gets_to(dialled, "v1");
    wait_for("each pod has one route", || entries() == 3);
    node.route("s1", &node.tag("s1", 80), &[("v1", 1)]);
    wait_for("each pod has two", || entries() == 6);
    node.api.delete(&MESH_TCP_ROUTE, &node.place("s1"));
    wait_for("each pod has one again", || entries() == 3);
    // A VIP that only the mesh knows is its own to lead to.
    let service = json!({
        "metadata": {"labels": {"kuma.io/mesh": node.name}},
        "spec": {"selector": {"dataplaneTags": {"kuma.io/service": tag}}, "ports": [{"port": 1, "targetPort": 1}]},
        "status": {"vips": [{"ip": "241.0.0.8"}]},
    });
    node.api.create(&MESH_SERVICE, &MESH_SERVICE.object(&node.place("alone"), service));
    wait_for("it is routed by each", || entries() == 6);
}

#[test]
fn an_object_that_cannot_be_read_drops_out_alone() {
    let Some(node) = Node::of("an_object_that_cannot_be_read_drops_out_alone") else { return };
    let (tag, dialled) = node.database();
    node.endpoint("db-1", &tag, "v1");
    node.endpoint("db-2", &tag, "v2");
    node.route("good", &tag, &[("v1", 1)]);
    let broken = json!({"metadata": {"labels": {"kuma.io/mesh": node.name}}, "spec": {"to": "everything"}});
    node.api.create(&MESH_TCP_ROUTE, &MESH_TCP_ROUTE.object(&node.place("broken"), broken));
    node.api.create(
        &DATAPLANE,
        &DATAPLANE.object(&node.place("broken"), json!({"mesh": node.name, "spec": {"networking": 7}})),
    );
    let daemon = node.daemon(&[]);
    let pod = node.running_pod("web");
    pod.gets_to(dialled, "v1");
    let rejected = || -> Vec<(String, bool)> {
        let status = daemon.json("/v1/status");
        let all = status["rejected"].as_array().unwrap().iter();
        let own = all.filter(|it| it["subject"].as_str().unwrap().contains(&node.name));
        own.map(|it| (it["subject"].as_str().unwrap().to_owned(), it["kept"] == true)).collect()
    };
    let named = |kind: &str, name: &str| format!("{kind} {name}.{} of mesh {}", node.name, node.name);
    let first = [(named("Dataplane", "broken"), false), (named("MeshTCPRoute", "broken"), false)];
    wait_for("both are told", || rejected() == first);
    // What it was before stays, and what others change goes in force.
    node.api.patch(&MESH_TCP_ROUTE, &node.place("good"), &json!({"spec": {"targetRef": {"kind": "Meshes"}}}));
    let more = (named("MeshTCPRoute", "good"), true);
    wait_for("the third is told", || rejected().contains(&more));
    pod.gets_to(dialled, "v1");
    node.route("later", &tag, &[("v2", 1)]);
    node.api.delete(&MESH_TCP_ROUTE, &node.place("good"));
    pod.gets_to(dialled, "v2");
    wait_for("it is told no more", || rejected() == first);
}

/// Of a cluster in which Kuma is installed while the daemon runs, and of its later version.
#[test]
fn kinds_are_seen_when_they_are_installed() {
    let test = "kinds_are_seen_when_they_are_installed";
    if !is_root(test) {
        return;
    }
    let Some(cluster) = ControlPlane::own(test) else { return };
    let node = Node::on(&cluster);
    let (tag, dialled) = node.database();
    let daemon = node.daemon(&[]);
    crds::install(&node.api, &[MESH, DATAPLANE, EXTERNAL_SERVICE, MESH_METRIC, MESH_TCP_ROUTE]);
    node.api.create(&MESH, &MESH.object(&node.name, json!({"spec": {}})));
    node.endpoint("db", &tag, "v1");
    node.route("all", &tag, &[("v1", 1)]);
    let pod = node.running_pod("web");
    pod.gets_to(dialled, "v1");
    // The server takes its objects away one by one before it goes.
    crds::uninstall(&node.api, &MESH_TCP_ROUTE);
    wait_for("it is told", || failing(&daemon).is_some_and(|why| why.contains("meshtcproutes")));
}

/// With the rules of `deploy/` everything can be read, and without one it is told which.
#[test]
fn missing_rights_are_told_with_the_rule_to_add() {
    let Some(node) = Node::of("missing_rights_are_told_with_the_rule_to_add") else { return };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes/rbac.yaml");
    let documents: Vec<Value> = serde_yaml::Deserializer::from_str(&fs::read_to_string(file).unwrap())
        .map(|document| serde::Deserialize::deserialize(document).unwrap())
        .collect();
    let rules = |kind: &str| {
        let found = documents.iter().find(|it| it["kind"] == kind).unwrap();
        found["rules"].as_array().unwrap().clone()
    };
    let (mut all, own) = (rules("ClusterRole"), rules("Role"));
    let forbidden = |rule: &Value| rule["apiGroups"][0] != "kuma.io";
    let few: Vec<Value> = all.iter().filter(|rule| forbidden(rule)).chain(&own).cloned().collect();
    all.extend(own);
    let (tag, dialled) = node.database();
    node.endpoint("db", &tag, "v1");
    node.route("all", &tag, &[("v1", 1)]);
    let role = format!("{}-few", node.name);
    rbac::grant(&node.api, TCPROUTE, &role, &json!(few));
    let daemon = node.daemon_by(&node.cluster.kubeconfig(TCPROUTE), &[]);
    let pod = node.running_pod("web");
    wait_for("it is told what is missing", || failing(&daemon).is_some_and(|why| why.contains("(403)")));
    let told = failing(&daemon).unwrap();
    assert!(told.contains("a ClusterRole needs {apiGroups: [\"kuma.io\"]"), "{told}");
    rbac::grant(&node.api, TCPROUTE, &format!("{}-all", node.name), &json!(all));
    pod.gets_to(dialled, "v1");
    wait_for("nothing is missing", || failing(&daemon).is_none());
    // Nothing more is asked for: it was never refused anything with these.
    rbac::revoke(&node.api, &role);
    node.reroute("all", &tag, &[("v1", 7)]);
    pod.gets_to(dialled, "v1");
    assert_eq!(failing(&daemon), None);
}

/// What it needs to know it has from its pod.
#[test]
fn in_a_pod_it_needs_no_flags() {
    let Some(node) = Node::of("in_a_pod_it_needs_no_flags") else { return };
    let (tag, dialled) = node.database();
    node.endpoint("db", &tag, "v1");
    node.route("all", &tag, &[("v1", 1)]);
    let account = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(account.path().join(name), text).unwrap();
    write("token", ADMIN.token);
    write("namespace", &node.name);
    fs::copy(node.cluster.authority(), account.path().join("ca.crt")).unwrap();
    // The endpoints of this test are on loopback, which those of a cluster are not.
    let more = ["--allow-loopback"];
    let address = node.cluster.address();
    let daemon = Daemon::in_pod(&node.bpffs, address, account.path(), &node.name, &more);
    let pod = node.running_pod("web");
    pod.gets_to(dialled, "v1");
    attached(&daemon, 1);
}

/// From anywhere, without privileges.
#[test]
fn commands_read_the_cluster_once() {
    let Some(node) = Node::of("commands_read_the_cluster_once") else { return };
    let (tag, dialled) = node.database();
    let endpoints = ["v1", "v2"].map(|version| node.endpoint(&format!("db-{version}"), &tag, version));
    node.route("split", &tag, &[("v1", 3), ("v2", 1)]);
    node.dataplane("web", "10.0.0.1", &json!([{"port": 1, "tags": {"kuma.io/service": "web"}}]));
    let kubeconfig = node.cluster.kubeconfig(ADMIN);
    let command = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--kubeconfig").arg(&kubeconfig);
        command.args(["--allow-loopback", "--system-namespace", &node.name]);
        command
    };
    let dataplane = format!("web.{}", node.name);
    let resolve = ["resolve", "--source", "kubernetes", "--mesh", &node.name, "--dataplane", &dataplane];
    let mut resolved = command(&[&resolve[..], &["--output", "json"]].concat());
    let routes: Value = serde_json::from_str(&stdout(&resolved.output().unwrap())).unwrap();
    let route = &routes["routes"][0];
    let address: SocketAddr =
        format!("{}:{}", route["address"].as_str().unwrap(), route["port"]).parse().unwrap();
    assert_eq!((address, route["backends"][0]["share"].as_f64()), (dialled, Some(0.75)));
    assert_eq!(route["backends"][1]["endpoints"], json!([endpoints[1]]));

    let changed = tempfile::tempdir().unwrap();
    let file = changed.path().join("changed.yaml");
    let policy = node.api.get(&MESH_TCP_ROUTE, &node.place("split")).unwrap();
    let text = policy.to_string().replace("\"weight\":3", "\"weight\":1");
    fs::write(&file, text).unwrap();
    let mut diff = command(&["diff", "--lenient", "--mesh", &node.name, "--with", file.to_str().unwrap()]);
    let told = stdout(&diff.output().unwrap());
    assert!(told.contains("25.0 % of the connections go elsewhere"), "{told}");

    let validated = command(&["validate", "--source", "kubernetes"]).output().unwrap();
    let told = String::from_utf8_lossy(&validated.stdout).into_owned();
    assert!(matches!(validated.status.code(), Some(0 | 2)), "{told}");
    let broken = json!({"metadata": {"labels": {"kuma.io/mesh": node.name}}, "spec": {"to": "everything"}});
    node.api.create(&MESH_TCP_ROUTE, &MESH_TCP_ROUTE.object(&node.place("broken"), broken));
    let validated = command(&["validate", "--source", "kubernetes"]).output().unwrap();
    assert_eq!(validated.status.code(), Some(2));
    let told = String::from_utf8_lossy(&validated.stdout).into_owned();
    assert!(told.contains(&format!("meshtcproutes/{}/broken: spec.to: ", node.name)), "{told}");
    node.api.delete(&SERVICE, &node.place("db"));
}

/// Whoever looks at the object sees it, once, however many nodes there are.
#[test]
fn what_is_wrong_is_told_by_events() {
    let Some(node) = Node::of("what_is_wrong_is_told_by_events") else { return };
    let broken = json!({"metadata": {"labels": {"kuma.io/mesh": node.name}}, "spec": {"to": "everything"}});
    let broken = node.api.create(&MESH_TCP_ROUTE, &MESH_TCP_ROUTE.object(&node.place("broken"), broken));
    let pod = node.pod("web", json!({}));
    let events = |reason: &str| -> Vec<Value> {
        let all = node.api.list(&EVENT, Some(&node.name));
        all["items"].as_array().unwrap().iter().filter(|it| it["reason"] == reason).cloned().collect()
    };
    let mut silent = node.daemon(&["--events", "off"]);
    wait_for("it is rejected", || !silent.json("/v1/status")["rejected"].as_array().unwrap().is_empty());
    silent.stop();
    for _ in 0..2 {
        let mut daemon = node.daemon(&[]);
        wait_for("the policy has an event", || !events("Refused").is_empty());
        wait_for("the pod has an event", || !events("NotCovered").is_empty());
        daemon.stop();
    }
    let [refused] = &events("Refused")[..] else { panic!("{:?}", events("Refused")) };
    assert_eq!(refused["involvedObject"]["uid"], broken["metadata"]["uid"]);
    let told = refused["message"].as_str().unwrap();
    assert!(told.starts_with("tcproute cannot use it, so nothing is routed by it: spec.to: "), "{told}");
    let [uncovered] = &events("NotCovered")[..] else { panic!("{:?}", events("NotCovered")) };
    assert_eq!(uncovered["involvedObject"]["uid"], pod.uid.as_str());
}

/// The order of policies is that of the cluster's version, also of a later one that comes while the daemon runs.
#[test]
fn policies_are_in_the_order_of_the_clusters_version() {
    let test = "policies_are_in_the_order_of_the_clusters_version";
    if !is_root(test) {
        return;
    }
    let Some(cluster) = ControlPlane::own(test) else { return };
    crate::node::install(&cluster.api());
    let node = Node::on(&cluster);
    let (tag, dialled) = node.database();
    node.endpoint("db-1", &tag, "v1");
    node.endpoint("db-2", &tag, "v2");
    node.dataplane("web", "10.0.0.1", &json!([{"port": 1, "tags": {"kuma.io/service": "web"}}]));
    // Of two that are alike, the last by name was the stronger one before 2.6, and the first since then.
    node.route("a", &tag, &[("v1", 1)]);
    node.route("b", &tag, &[("v2", 1)]);
    let daemon = node.daemon(&[]);
    let pod = node.running_pod("web");
    attached(&daemon, 1);
    let version = |daemon: &Daemon| daemon.json("/v1/routes")[0]["compat"].clone();
    assert_eq!(version(&daemon), "2.4");
    let before = if reaches(pod.cgroup(), dialled, "v1") { "v1" } else { "v2" };
    crds::install(&node.api, &[MESH_METRIC]);
    let after = if before == "v1" { "v2" } else { "v1" };
    pod.gets_to(dialled, after);
    assert_eq!(version(&daemon), "latest");
    drop(daemon);
    let given = node.daemon(&["--compat", "2.4"]);
    pod.gets_to(dialled, before);
    assert_eq!(version(&given), "2.4");
}
