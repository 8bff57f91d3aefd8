//! The JSON that other programs read.

use serde_json::json;

use super::*;

#[test]
fn resolved_routes_are_written_as_the_design_says() {
    let texts = [
        &WEB.replace("name: web\n", "name: frontend-1\n")
            .replace("1000", "10001")
            .replace("service: db", "service: backend"),
        "type: Dataplane\nname: b\nnetworking: {address: 192.168.0.4, inbound: [{port: 8004, tags: {kuma.io/service: backend, version: '1.0'}}]}",
        "type: MeshTCPRoute\nname: tcp-route-1\nspec: {targetRef: {kind: Mesh}, to: [{targetRef: {kind: MeshService, name: backend}, \
         rules: [{default: {backendRefs: [{kind: MeshServiceSubset, name: backend, tags: {version: '1.0'}, weight: 90}, \
         {kind: MeshService, name: backend, weight: 10}]}}]}]}",
    ];
    let routes = resolver(&texts, Options::default()).resolve(&MeshName::default(), "frontend-1").unwrap();
    let expected = json!({"mesh": "default", "dataplane": "frontend-1", "compat": "2.4", "routes": [
        {"service": "backend", "address": "127.0.0.1", "port": 10001, "protocol": "tcp",
         "action": "route", "reason": "MeshTCPRoute", "policies": ["tcp-route-1"],
         "backends": [{"kind": "MeshServiceSubset", "name": "backend", "tags": {"version": "1.0"}, "weight": 90,
                       "share": 0.9, "endpoints": ["192.168.0.4:8004"]},
                      {"kind": "MeshService", "name": "backend", "weight": 10,
                       "share": 0.1, "endpoints": ["192.168.0.4:8004"]}]}]});
    assert_eq!(serde_json::to_value(routes).unwrap(), expected);
}

#[test]
fn what_is_more_comes_in_fields_of_its_own() {
    let timeout = "type: MeshTimeout\nname: t\nspec: {targetRef: {kind: Mesh}}";
    let later =
        "type: MeshService\nname: pg\nspec: {selector: {dataplaneTags: {app: pg}}, ports: [{port: 5432}]}";
    let later = later.replace("name: pg\n", "name: pg\nlabels: {a: b, k8s.kuma.io/namespace: a}\n");
    let later = later.replace("port: 5432}", "port: 5432, name: c}");
    let refs = "{kind: MeshService, name: pg, namespace: a, port: 5432}, \
                {kind: MeshService, labels: {a: b}, sectionName: c}";
    let routes = serde_json::to_value(resolve(&[WEB, timeout, &later, &route("r", MESH, refs)])).unwrap();
    assert_eq!(routes["notEnforced"], json!(["MeshTimeout t"]));
    assert_eq!(routes["warnings"].as_array().map(Vec::len), Some(2));
    let backends = json!([
        {"kind": "MeshService", "name": "pg", "namespace": "a", "port": 5432, "weight": 1, "share": 0.5, "endpoints": []},
        {"kind": "MeshService", "labels": {"a": "b"}, "sectionName": "c", "weight": 1, "share": 0.5, "endpoints": []},
    ]);
    assert_eq!(routes["routes"][0]["backends"], backends);
}
