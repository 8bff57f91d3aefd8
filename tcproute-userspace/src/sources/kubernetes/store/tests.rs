use serde_json::{Value, json, value::to_raw_value};

use super::*;
use crate::resources::SERVICE_TAG;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// The kind of this plural.
fn kind(plural: &str) -> WatchedKind {
    *kinds::CORE.iter().chain(&kinds::KUMA).find(|kind| kind.plural == plural).unwrap()
}

fn object(plural: &str, json: &Value) -> Object {
    Reading::new(kind(plural)).read(&to_raw_value(json).unwrap()).unwrap()
}

/// A store that was told that there is nothing of any kind.
fn store(which: Which) -> Store {
    let mut store = Store::new(which, Compat::V2_4);
    store.set_discovered();
    for kind in kinds::CORE.into_iter().chain(kinds::KUMA) {
        store.expect(kind);
    }
    assert_eq!(store.snapshot(None).health, Health::Awaited);
    for kind in kinds::CORE.into_iter().chain(kinds::KUMA) {
        store.list(kind, Vec::new(), NOW);
    }
    assert_eq!(store.snapshot(None).health, Health::Well);
    store.take_changed();
    store
}

impl Store {
    fn applies(&mut self, plural: &str, json: &Value) -> bool {
        self.apply(kind(plural), object(plural, json), NOW);
        self.take_changed()
    }

    /// The services of the inbounds of a Dataplane, if it is there.
    fn services_of(&mut self, dataplane: &str) -> Option<Vec<String>> {
        let resources = self.snapshot(None).resources;
        let found = resources.dataplanes.values().find(|found| found.name.is(dataplane))?;
        let tags =
            found.inbounds.iter().map(|inbound| inbound.tags.get(SERVICE_TAG).unwrap_or("-").to_owned());
        Some(tags.collect())
    }

    fn pods(&mut self) -> Vec<String> {
        self.snapshot(None);
        self.local_pods().pods.iter().map(|pod| format!("{} {}", pod.uid, pod.dataplane)).collect()
    }
}

fn namespace(injects: bool) -> Value {
    let injection = if injects { "enabled" } else { "disabled" };
    json!({ "metadata": { "name": "shop", "labels": { "kuma.io/sidecar-injection": injection } } })
}

fn pod(name: &str, uid: &str, phase: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "shop", "uid": uid, "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "app" }] },
        "status": { "phase": phase, "podIP": "10.0.0.9" },
    })
}

fn dataplane(service: &str) -> Value {
    json!({
        "apiVersion": "kuma.io/v1alpha1", "kind": "Dataplane", "mesh": "default",
        "metadata": { "name": "web-1", "namespace": "shop" },
        "spec": { "networking": { "address": "10.0.0.9", "inbound": [
            { "port": 80, "tags": { "kuma.io/service": service } }] } },
    })
}

fn route(weight: &Value) -> Value {
    json!({
        "apiVersion": "kuma.io/v1alpha1", "kind": "MeshTCPRoute",
        "metadata": { "name": "split", "namespace": "kuma-system" },
        "spec": { "targetRef": { "kind": "Mesh" }, "to": [{
            "targetRef": { "kind": "MeshService", "name": "db" },
            "rules": [{ "default": { "backendRefs": [{ "kind": "MeshService", "name": "db", "weight": weight }] } }],
        }] },
    })
}

#[test]
fn a_pod_has_a_provisional_dataplane_until_the_real_one_comes_and_again_when_that_goes() {
    let mut store = store(Which::Meshed);
    store.applies("namespaces", &namespace(true));
    store.applies("pods", &pod("web-1", "u1", "Running"));
    assert_eq!(store.pods(), ["u1 web-1.shop"]);
    assert_eq!(store.services_of("web-1.shop").unwrap(), ["web-1_shop_svc"]);
    let service = json!({
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "clusterIP": "10.96.0.9", "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
    });
    store.applies("services", &service);
    assert_eq!(store.services_of("web-1.shop").unwrap(), ["web_shop_svc_80"]);

    assert!(store.applies("dataplanes", &dataplane("real")));
    assert_eq!(store.services_of("web-1.shop").unwrap(), ["real"]);
    assert!(!store.applies("dataplanes", &dataplane("real")), "what is the same is no change");
    let name = ObjectName { namespace: Some("shop".into()), name: "web-1".into() };
    store.remove(kind("dataplanes"), &name);
    assert_eq!(store.services_of("web-1.shop").unwrap(), ["web_shop_svc_80"]);
    store.remove(kind("pods"), &name);
    assert_eq!((store.services_of("web-1.shop"), store.pods()), (None, vec![]));
}

#[test]
fn only_pods_that_are_meshed_and_alive_are_workloads() {
    let mut store = store(Which::Meshed);
    store.applies("namespaces", &namespace(false));
    store.applies("pods", &pod("web-1", "u1", "Running"));
    assert!(store.pods().is_empty());
    store.applies("dataplanes", &dataplane("real"));
    assert_eq!(store.pods(), ["u1 web-1.shop"], "it has a Dataplane");
    for (phase, count) in [("Succeeded", 0), ("Running", 1), ("Failed", 0), ("Pending", 1)] {
        store.applies("pods", &pod("web-1", "u1", phase));
        assert_eq!(store.pods().len(), count, "{phase}");
    }
    store.applies("pods", &pod("web-1", "u2", "Running"));
    assert_eq!(store.pods(), ["u2 web-1.shop"], "another of the same name");
    store.applies("pods", &pod("web-2", "u3", "Running"));
    store.applies("namespaces", &namespace(true));
    assert_eq!(store.pods(), ["u2 web-1.shop", "u3 web-2.shop"], "two with one address are two");

    let mut all = self::store(Which::All);
    all.applies("pods", &pod("web-1", "u1", "Running"));
    assert_eq!(all.pods(), ["u1 web-1.shop"]);
}

#[test]
fn what_is_refused_keeps_its_last_good_form_and_is_told_until_it_is_mended_or_gone() {
    let mut store = store(Which::Meshed);
    store.applies("meshtcproutes", &route(&json!(1)));
    assert!(store.applies("meshtcproutes", &route(&json!("x"))));
    let snapshot = store.snapshot(None);
    assert_eq!(snapshot.resources.tcp_routes.len(), 1);
    let (subject, rejection) = snapshot.rejected.iter().next().unwrap();
    assert_eq!(subject.to_string(), "MeshTCPRoute split.kuma-system of mesh default");
    assert!(rejection.kept && rejection.source == NAME);
    let told = rejection.violations[0].to_string();
    assert!(told.starts_with("meshtcproutes/kuma-system/split: spec.to[0]."), "{told}");
    assert!(!store.applies("meshtcproutes", &route(&json!("x"))), "what is wrong as before is no change");
    store.applies("meshtcproutes", &route(&json!(2)));
    assert!(store.snapshot(None).rejected.is_empty());

    store.applies("meshtcproutes", &route(&json!("x")));
    store.list(kind("meshtcproutes"), Vec::new(), NOW);
    let snapshot = store.snapshot(None);
    assert!(snapshot.rejected.is_empty() && snapshot.resources.tcp_routes.is_empty());
}

#[test]
fn a_kind_that_is_not_followed_keeps_what_it_had_and_is_told() {
    let mut store = store(Which::Meshed);
    store.applies("meshtcproutes", &route(&json!(1)));
    store.fail(kind("meshtcproutes"), "first".to_owned(), NOW);
    store.fail(kind("dataplanes"), "second".to_owned(), NOW);
    let snapshot = store.snapshot(None);
    assert_eq!(snapshot.resources.tcp_routes.len(), 1);
    let Health::Failing { why, .. } = snapshot.health else { panic!("{:?}", snapshot.health) };
    assert_eq!(why, "second (and 1 more)");
    store.go_on(kind("meshtcproutes"));
    store.list(kind("dataplanes"), Vec::new(), NOW);
    assert_eq!(store.snapshot(None).health, Health::Well);
    let elsewhere = ("all".to_owned(), NOW);
    assert_eq!(
        store.snapshot(Some(&elsewhere)).health,
        Health::Failing { why: "all".to_owned(), since: NOW }
    );
    store.dismiss(kind("meshtcproutes"), NOW);
    assert!(store.snapshot(None).resources.tcp_routes.is_empty());
}
