//! The pods of a node: which are workloads, since when and until when.

use std::{net::SocketAddr, process::Stdio};

use serde_json::json;
use tcproute_tests::{
    chi_square::assert_split,
    client,
    cluster::kinds::{DATAPLANE, ENDPOINT_SLICE, MESH_TCP_ROUTE, NAMESPACE, POD},
    echo::Echo,
    hosts::Hosts,
    process::Process,
    sample, wait_for,
};

use crate::node::{Node, attached};

#[test]
fn a_pod_is_routed_by_the_policy_of_the_cluster() {
    let Some(node) = Node::of("a_pod_is_routed_by_the_policy_of_the_cluster") else { return };
    let (tag, dialled) = node.database();
    for version in ["v1", "v2"] {
        node.endpoint(&format!("db-{version}"), &tag, version);
    }
    node.route("split", &tag, &[("v1", 90), ("v2", 10)]);
    let daemon = node.daemon(&[]);
    let pod = node.running_pod("web");
    attached(&daemon, 1);
    let counts = pod.dials(dialled, sample(4000));
    let count = |name: &str| counts.get(name).copied().unwrap_or(0);
    assert_split("90 to 10", &[(count("v1"), 0.9), (count("v2"), 0.1)]);
    node.reroute("split", &tag, &[("v1", 0), ("v2", 10)]);
    pod.gets_to(dialled, "v2");
    assert_eq!(pod.dials(dialled, 100).get("v2"), Some(&100));
}

/// With both drivers of kubelet, in all classes, and in nodes that are containers themselves.
#[test]
fn the_directory_of_a_pod_is_found_by_its_uid_wherever_it_is() {
    let Some(node) = Node::of("the_directory_of_a_pod_is_found_by_its_uid_wherever_it_is") else { return };
    let id = "0123456789abcdef".repeat(4);
    let layouts = [
        "kubepods/pod{uid}".to_owned(),
        "kubepods/burstable/pod{uid}".to_owned(),
        "kubepods.slice/kubepods-pod{uid_}.slice".to_owned(),
        "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{uid_}.slice".to_owned(),
        "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{uid_}.slice".to_owned(),
        format!(
            "docker-{id}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/\
             kubelet-kubepods-burstable-pod{{uid_}}.slice"
        ),
    ];
    let (tag, dialled) = node.database();
    node.endpoint("db", &tag, "v1");
    node.route("all", &tag, &[("v1", 1)]);
    let daemon = node.daemon(&[]);
    for (number, layout) in (1..).zip(&layouts) {
        let mut pod = node.pod(&format!("web-{number}"), json!({}));
        node.make_directory(&mut pod, layout);
        pod.gets_to(dialled, "v1");
        attached(&daemon, 1);
        // Containers are below it, with whatever names runtimes give them.
        let container = pod.cgroup().child(&format!("cri-containerd-{id}.scope"));
        assert!(client::reaches(&container, dialled, "v1"), "{layout}");
        drop((container, pod.cgroup.take()));
        attached(&daemon, 0);
        node.api.delete(&POD, &node.place(&pod.name));
    }
}

#[test]
fn a_static_pod_is_found_by_the_hash_of_its_definition() {
    let Some(node) = Node::of("a_static_pod_is_found_by_the_hash_of_its_definition") else { return };
    let hash = "6f1d0b1e2a3c4d5e6f708192a3b4c5d6";
    let daemon = node.daemon(&[]);
    let annotations = json!({"kubernetes.io/config.hash": hash, "kubernetes.io/config.source": "file"});
    let mut pod = node.pod("static", json!({"metadata": {"annotations": annotations}}));
    // Its directory is there before the API knows it; the uid in the API means nothing.
    pod.uid = hash.to_owned();
    node.make_directory(
        &mut pod,
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice",
    );
    attached(&daemon, 1);
}

#[test]
fn pods_that_have_come_to_an_end_go_though_another_has_their_address() {
    let Some(node) = Node::of("pods_that_have_come_to_an_end_go_though_another_has_their_address") else {
        return;
    };
    let daemon = node.daemon(&[]);
    let [_one, _two, _three] = ["one", "two", "three"].map(|name| node.running_pod(name));
    attached(&daemon, 3);
    node.patch_pod("one", &json!({"phase": "Succeeded"}));
    attached(&daemon, 2);
    node.patch_pod("two", &json!({"phase": "Failed", "reason": "Evicted"}));
    attached(&daemon, 1);
    node.api.delete(&POD, &node.place("three"));
    attached(&daemon, 0);
}

#[test]
fn another_pod_of_the_same_name_is_another_pod() {
    let Some(node) = Node::of("another_pod_of_the_same_name_is_another_pod") else { return };
    let daemon = node.daemon(&[]);
    let first = node.running_pod("web-0");
    attached(&daemon, 1);
    node.api.delete(&POD, &node.place("web-0"));
    let second = node.running_pod("web-0");
    assert_ne!(first.uid, second.uid);
    let cgroup = second.cgroup().path().to_str().unwrap().to_owned();
    wait_for("the second one is the workload", || {
        let workloads = daemon.json("/v1/status")["workloads"].clone();
        workloads.as_array().unwrap().len() == 1 && workloads[0]["cgroup"] == cgroup.as_str()
    });
}

#[test]
fn pods_that_are_not_meshed_run_none_of_our_programs() {
    let Some(node) = Node::of("pods_that_are_not_meshed_run_none_of_our_programs") else { return };
    let injection = |value: &str| json!({"metadata": {"labels": {"kuma.io/sidecar-injection": value}}});
    node.api.patch(&NAMESPACE, &node.name, &injection("disabled"));
    let mut pods = [("not", json!({})), ("never", injection("false")), ("own", injection("true"))]
        .map(|(name, object)| node.pod(name, object));
    for pod in &mut pods {
        node.make_directory(pod, "kubepods/pod{uid}");
    }
    let by = |more: &[&str], count: u64| {
        let mut daemon = node.daemon(more);
        attached(&daemon, count);
        let told = daemon.json("/v1/status");
        let mut told: Vec<String> = told["workloads"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["dataplane"].as_str().unwrap().replace(&format!(".{}", node.name), ""))
            .collect();
        daemon.stop();
        told.sort();
        told
    };
    assert_eq!(by(&[], 1), ["own"]);
    node.dataplane("not", "10.0.0.1", &json!([{"port": 1, "tags": {"kuma.io/service": "x"}}]));
    assert_eq!(by(&[], 2), ["not", "own"], "Kuma has given it a Dataplane");
    assert_eq!(by(&["--pods", "all"], 3), ["never", "not", "own"]);
    assert_eq!(by(&["--pods", "kuma.io/sidecar-injection in (false)"], 1), ["never"]);
    assert_eq!(by(&["--pods", "kuma.io/sidecar-injection"], 2), ["never", "own"]);
    node.api.patch(&NAMESPACE, &node.name, &injection("enabled"));
    assert_eq!(by(&[], 2), ["not", "own"]);
}

/// The Dataplane comes after the first processes. Until then its pod and Services tell what it will be.
#[test]
fn a_pod_is_routed_before_it_has_a_dataplane() {
    let Some(node) = Node::of("a_pod_is_routed_before_it_has_a_dataplane") else { return };
    let (tag, dialled) = node.database();
    node.service("web", 80, &json!({"app": "web"}));
    node.endpoint("db-v1", &tag, "v1");
    node.endpoint("db-v2", &tag, "v2");
    node.route("all", &tag, &[("v1", 1)]);
    // Of those that are what the pod will be, and stronger.
    node.route("web", &tag, &[("v2", 1)]);
    let target = json!({"spec": {"targetRef": {"kind": "MeshService", "name": node.tag("web", 80)}}});
    node.api.patch(&MESH_TCP_ROUTE, &node.place("web"), &target);
    let daemon = node.daemon(&[]);
    let pod = node.running_pod("web");
    attached(&daemon, 1);
    assert_eq!(pod.dials(dialled, 50).get("v2"), Some(&50));
    // What the control plane writes is what counts.
    node.dataplane("web", "10.0.0.1", &json!([{"port": 1, "tags": {"kuma.io/service": "other"}}]));
    pod.gets_to(dialled, "v1");
    node.api.delete(&DATAPLANE, &node.place("web"));
    pod.gets_to(dialled, "v2");
    attached(&daemon, 1);
}

/// Nobody gives them Dataplanes, so their endpoints are those of Kubernetes.
#[test]
fn pods_without_dataplanes_are_where_their_slices_say() {
    let Some(node) = Node::of("pods_without_dataplanes_are_where_their_slices_say") else { return };
    node.api.patch(
        &NAMESPACE,
        &node.name,
        &json!({"metadata": {"labels": {"kuma.io/sidecar-injection": "disabled"}}}),
    );
    let [dialled, ..] = ["db", "db-v1", "db-v2"].map(|name| node.service(name, 5432, &json!({"app": name})));
    // The API takes no slice with addresses of loopback.
    let Some(hosts) = Hosts::of("pods_without_dataplanes_are_where_their_slices_say") else { return };
    let ip = hosts.server_address();
    let listeners = [5001, 5002].map(|port| hosts.listen_on_server((ip, port).into()));
    let servers = [5001, 5002].map(|port| SocketAddr::from((ip, port)));
    let _echoes: Vec<Echo> =
        listeners.into_iter().zip(["v1", "v2"]).map(|(it, name)| Echo::serve(it, name)).collect();
    let slice = |service: &str, endpoints: &[(&str, usize, bool)]| {
        let port = servers[endpoints[0].1].port();
        let endpoint = |&(pod, server, ready): &(&str, usize, bool)| {
            let target = json!({"kind": "Pod", "name": pod, "namespace": node.name});
            json!({"addresses": [servers[server].ip()], "conditions": {"ready": ready}, "targetRef": target})
        };
        let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
        ENDPOINT_SLICE.object(
            &node.place(service),
            json!({
                "metadata": {"labels": {"kubernetes.io/service-name": service}},
                "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "", "port": port}],
            }),
        )
    };
    for (service, endpoint) in [("db", ("a", 0, true)), ("db-v1", ("a", 0, true)), ("db-v2", ("b", 1, true))]
    {
        node.api.create(&ENDPOINT_SLICE, &slice(service, &[endpoint]));
    }
    let backend = |version: &str, weight: u32| json!({"kind": "MeshService", "name": node.tag(&format!("db-{version}"), 5432), "weight": weight});
    let route = json!({
        "metadata": {"labels": {"kuma.io/mesh": node.name}},
        "spec": {"targetRef": {"kind": "Mesh"}, "to": [{
            "targetRef": {"kind": "MeshService", "name": node.tag("db", 5432)},
            "rules": [{"default": {"backendRefs": [backend("v1", 1), backend("v2", 1)]}}],
        }]},
    });
    node.api.create(&MESH_TCP_ROUTE, &MESH_TCP_ROUTE.object(&node.place("split"), route));
    let daemon = node.daemon(&["--pods", "all"]);
    let pod = node.running_pod("web");
    attached(&daemon, 1);
    let body = format!(
        "for _ in range(100):\n    try:\n        print(name(dial('{}', {})))\n    \
         except OSError:\n        print('refused')\n",
        dialled.ip(),
        dialled.port()
    );
    // The network namespace is the pod's for as long as it has a process there.
    let mut pause = hosts.on_client_in(pod.cgroup(), "sleep");
    let _pause = Process(pause.arg("1000").spawn().unwrap());
    // Who answers how often, of a hundred.
    let answers = || -> [u64; 3] {
        let mut client = hosts.on_client_in(pod.cgroup(), "python3");
        let text = client::stdout(&client.args(["-SEc", &client::script(&body)]).output().unwrap());
        ["v1", "v2", "refused"].map(|name| text.lines().filter(|line| line.trim() == name).count() as u64)
    };
    wait_for("both answer", || matches!(answers(), [(1..), (1..), 0]));
    let [first, second, _] = answers();
    assert_split("half to each", &[(first, 0.5), (second, 0.5)]);
    // One that is not ready is no endpoint, and one that is meshed is where its Dataplane says.
    node.api.replace(&ENDPOINT_SLICE, &slice("db-v2", &[("b", 1, false)]));
    wait_for("half of them are refused", || matches!(answers(), [(1..), 0, (1..)]));
    let inbounds = json!([{"port": 5001, "tags": {"kuma.io/service": node.tag("db-v2", 5432)}}]);
    node.dataplane("b", &ip.to_string(), &inbounds);
    wait_for("it is where its Dataplane says", || answers() == [100, 0, 0]);
}

#[test]
fn pods_with_processes_before_their_programs_are_counted() {
    let Some(node) = Node::of("pods_with_processes_before_their_programs_are_counted") else { return };
    let [early, late] = ["early", "late"].map(|name| node.running_pod(name));
    let mut sleep = late.cgroup().command("sleep");
    let _process = Process(sleep.arg("1000").stdin(Stdio::null()).spawn().unwrap());
    wait_for("it has a process", || {
        std::fs::read_to_string(late.cgroup().path().join("cgroup.procs"))
            .is_ok_and(|procs| !procs.is_empty())
    });
    let mut daemon = node.daemon(&[]);
    attached(&daemon, 2);
    assert_eq!(daemon.metric("tcproute_workloads_late"), 1);
    assert!(client::stdout(&daemon.status(&[])).contains("1 workloads had processes"));
    let late = |daemon: &tcproute_tests::tcproute::Daemon| -> Vec<String> {
        let status = daemon.json("/v1/status");
        let late = status["workloads"].as_array().unwrap().iter().filter(|it| it["late"] == true);
        late.map(|it| it["dataplane"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(late(&daemon), [format!("late.{}", node.name)]);
    // The next daemon goes on where this one ends.
    daemon.stop();
    let daemon = node.daemon(&[]);
    attached(&daemon, 2);
    assert!(late(&daemon).is_empty());
    drop(early);
}

#[test]
fn pods_of_the_network_of_the_host_and_of_other_nodes() {
    let Some(node) = Node::of("pods_of_the_network_of_the_host_and_of_other_nodes") else { return };
    let (tag, dialled) = node.database();
    node.endpoint("db", &tag, "v1");
    node.route("all", &tag, &[("v1", 1)]);
    let daemon = node.daemon(&[]);
    let mut host = node.pod("host", json!({"spec": {"hostNetwork": true}}));
    node.make_directory(&mut host, "kubepods/pod{uid}");
    attached(&daemon, 1);
    assert_eq!(host.dials(dialled, 20).get("v1"), Some(&20));
    // One of another node, whose directory is here all the same.
    let object = json!({"spec": {
        "nodeName": "elsewhere", "containers": [{"name": "app", "image": "app"}], "automountServiceAccountToken": false,
    }});
    let made = node.api.create(&POD, &POD.object(&node.place("other"), object));
    let uid = made["metadata"]["uid"].as_str().unwrap().to_owned();
    let mut other = crate::node::Pod { name: "other".to_owned(), uid, cgroup: None };
    node.make_directory(&mut other, "kubepods/pod{uid}");
    let third = node.running_pod("third");
    third.gets_to(dialled, "v1");
    attached(&daemon, 2);
}
