//! The cluster that the other tests stand on: it is a real one, and does what it is told.

use serde_json::{Value, json};
use tcproute_tests::{
    cluster::{
        Api, ControlPlane, STRANGER, TCPROUTE, crds,
        kinds::{CONFIG_MAP, DATAPLANE, KUMA, MESH, MESH_TIMEOUT, NODE, POD},
        rbac,
    },
    wait_for,
};

/// What everything else is seen against is told: xtask prints this line.
#[test]
fn the_api_server_is_a_real_one() {
    let Some(cluster) = ControlPlane::shared("the_api_server_is_a_real_one") else { return };
    let version = cluster.version();
    let of =
        |field: &str| version[field].as_str().unwrap_or_else(|| panic!("no {field}: {version}")).to_owned();
    println!("CLUSTER kube-apiserver {}, built by {}", of("gitVersion"), of("goVersion"));
    assert!(of("gitVersion").starts_with("v1."), "{version}");
    assert!(of("goVersion").starts_with("go1."), "{version}");
}

#[test]
fn objects_are_written_and_read() {
    let Some(cluster) = ControlPlane::shared("objects_are_written_and_read") else { return };
    let (api, namespace) = (cluster.api(), cluster.namespace());
    let place = format!("{namespace}/settings");
    api.create(&CONFIG_MAP, &CONFIG_MAP.object(&place, json!({"data": {"a": "1", "b": "2"}})));
    api.patch(&CONFIG_MAP, &place, &json!({"data": {"a": null, "c": "3"}}));
    let mut there = api.get(&CONFIG_MAP, &place).unwrap();
    assert_eq!(there["data"], json!({"b": "2", "c": "3"}));
    there["data"] = json!({"d": "4"});
    api.replace(&CONFIG_MAP, &there);
    let list = api.list(&CONFIG_MAP, Some(&namespace));
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["items"][0]["data"], json!({"d": "4"}), "{list}");
    api.delete(&CONFIG_MAP, &place);
    assert_eq!(api.get(&CONFIG_MAP, &place), None);
}

/// Nobody runs it, so it is as the test says.
#[test]
fn a_pod_has_the_status_that_it_is_given() {
    let Some(cluster) = ControlPlane::shared("a_pod_has_the_status_that_it_is_given") else { return };
    let (api, namespace) = (cluster.api(), cluster.namespace());
    let place = format!("{namespace}/web-1");
    let spec = json!({"nodeName": "node-1", "containers": [{"name": "web", "image": "web"}]});
    api.create(&POD, &POD.object(&place, json!({"spec": spec})));
    api.patch_status(&POD, &place, &json!({"phase": "Running", "podIP": "10.1.2.3"}));
    let pod = api.get(&POD, &place).unwrap();
    assert_eq!((&pod["status"]["phase"], &pod["status"]["podIP"]), (&json!("Running"), &json!("10.1.2.3")));
    api.delete(&POD, &place);
    assert_eq!(api.get(&POD, &place), None);
}

#[test]
fn kumas_kinds_are_taken_and_taken_away() {
    let Some(cluster) = ControlPlane::own("kumas_kinds_are_taken_and_taken_away") else { return };
    let (api, namespace) = (cluster.api(), cluster.namespace());
    // A kind that is not there is not known at all.
    assert_eq!(api.ask("GET", &DATAPLANE.collection(None)).status, 404);
    crds::install_kuma(&api);
    for kind in &KUMA {
        assert_eq!(api.list(kind, None)["kind"], format!("{}List", kind.name));
    }
    api.create(&MESH, &MESH.object("default", json!({"spec": {"networking": {}}})));
    let place = format!("{namespace}/web-1");
    let rest =
        json!({"mesh": "default", "spec": {"networking": {"address": "10.1.2.3"}}, "status": {"a": [1]}});
    api.create(&DATAPLANE, &DATAPLANE.object(&place, rest));
    let there = api.get(&DATAPLANE, &place).unwrap();
    assert_eq!(there["mesh"], "default");
    assert_eq!(there["spec"]["networking"]["address"], "10.1.2.3");
    // As in Kuma it is a field like the others.
    assert_eq!(there["status"]["a"], json!([1]));
    crds::uninstall(&api, &DATAPLANE);
    assert!(api.get(&MESH, "default").is_some());
    crds::install(&api, &[DATAPLANE]);
    assert_eq!(api.get(&DATAPLANE, &place), None);
}

#[test]
fn users_may_do_what_they_are_granted() {
    let Some(cluster) = ControlPlane::shared("users_may_do_what_they_are_granted") else { return };
    let code = |api: &Api| api.ask("GET", &NODE.collection(None)).status;
    let [tcproute, stranger] = [TCPROUTE, STRANGER].map(|user| cluster.api_as(user));
    assert_eq!((code(&tcproute), code(&stranger)), (403, 403));
    rbac::grant(&cluster.api(), TCPROUTE, "nodes-of-a-test", &rbac::reading(&[NODE]));
    wait_for("the grant is known", || code(&tcproute) == 200);
    assert_eq!(code(&stranger), 403);
    rbac::revoke(&cluster.api(), "nodes-of-a-test");
    wait_for("it is known that it is revoked", || code(&tcproute) == 403);
    // Rights are asked before whether there is such a kind.
    assert_eq!(tcproute.ask("GET", "/apis/example.org/v1/things").status, 403);
}

#[test]
fn data_outlives_both_servers() {
    let Some(cluster) = ControlPlane::own("data_outlives_both_servers") else { return };
    let api = cluster.api();
    crds::install(&api, &[MESH_TIMEOUT]);
    let timeout =
        api.create(&MESH_TIMEOUT, &MESH_TIMEOUT.object("default/timeout", json!({"spec": {"a": 1}})));
    let version = timeout["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = api.watch(&MESH_TIMEOUT, None, Some(version)).unwrap();
    let at = cluster.address();

    cluster.kill_api_server();
    assert!(watch.next_event().is_err(), "the watch is cut off");
    assert!(api.try_ask("GET", "/version", None).is_err(), "nobody listens");
    cluster.start_api_server();
    assert_eq!(cluster.address(), at);
    wait_for("the kind is served again", || api.ask("GET", &MESH_TIMEOUT.collection(None)).status == 200);
    let there = api.get(&MESH_TIMEOUT, "default/timeout").unwrap();
    assert_eq!((&there["spec"], &there["metadata"]["uid"]), (&json!({"a": 1}), &timeout["metadata"]["uid"]));

    cluster.kill_etcd();
    wait_for("the API server misses etcd", || api.ask("GET", "/readyz").status != 200);
    cluster.start_etcd();
    cluster.wait_ready();
    api.create(&CONFIG_MAP, &CONFIG_MAP.object("default/settings", json!({})));
    assert!(api.get(&MESH_TIMEOUT, "default/timeout").is_some());
}

#[test]
fn a_kubeconfig_tells_where_the_server_is_and_who_asks() {
    let Some(cluster) = ControlPlane::shared("a_kubeconfig_tells_where_the_server_is_and_who_asks") else {
        return;
    };
    let file = cluster.kubeconfig(TCPROUTE);
    let told: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(told["clusters"][0]["cluster"]["server"], format!("https://{}", cluster.address()));
    assert_eq!(told["users"][0]["user"]["token"], TCPROUTE.token);
    let authority = told["clusters"][0]["cluster"]["certificate-authority"].as_str().unwrap();
    assert!(std::fs::read_to_string(authority).unwrap().starts_with("-----BEGIN CERTIFICATE-----\n"));
}
