//! The proxy in front of the API server: what goes through it, and what goes wrong in it.

use std::time::{Duration, Instant};

use serde_json::json;
use tcproute_tests::{
    cluster::{
        Api, ControlPlane, Proxy, TCPROUTE, crds,
        kinds::{CONFIG_MAP, DATAPLANE},
        proxy::{Fault, Requests},
        rbac,
    },
    wait_for,
};

/// A proxy in front of the shared API server, a user that may read ConfigMaps, and a namespace with one of them.
struct Setup {
    cluster: &'static ControlPlane,
    proxy: Proxy,
    namespace: String,
}

impl Setup {
    fn of(test: &str) -> Option<Self> {
        let cluster = ControlPlane::shared(test)?;
        let setup = Self { cluster, proxy: Proxy::start(cluster, TCPROUTE), namespace: cluster.namespace() };
        rbac::grant(&cluster.api(), TCPROUTE, test, &rbac::reading(&[CONFIG_MAP]));
        wait_for("the grant is known", || setup.read(&setup.proxy.api()) == Some(200));
        setup.write("first");
        setup.proxy.forget();
        Some(setup)
    }

    fn write(&self, name: &str) {
        let place = format!("{}/{name}", self.namespace);
        self.cluster.api().create(&CONFIG_MAP, &CONFIG_MAP.object(&place, json!({})));
    }

    fn path(&self) -> String {
        CONFIG_MAP.collection(Some(&self.namespace))
    }

    /// The code of a list, if one comes.
    fn read(&self, api: &Api) -> Option<u16> {
        api.try_ask("GET", &self.path(), None).ok().map(|answer| answer.status)
    }
}

fn lists() -> Requests {
    Requests::to("/configmaps").no_watches()
}

fn watches() -> Requests {
    Requests::to("/configmaps").watches()
}

#[test]
fn lists_and_watches_go_through_a_proxy_and_are_counted() {
    let Some(setup) = Setup::of("lists_and_watches_go_through_a_proxy_and_are_counted") else { return };
    let api = setup.proxy.api();
    let list = api.list(&CONFIG_MAP, Some(&setup.namespace));
    assert_eq!(list["items"][0]["metadata"]["name"], "first");
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = api.watch(&CONFIG_MAP, Some(&setup.namespace), Some(version)).unwrap();
    for name in ["second", "third"] {
        setup.write(name);
        watch.wait_for("ADDED", name);
    }
    // It may not write, whoever asks for it.
    let path = CONFIG_MAP.path(&format!("{}/first", setup.namespace));
    assert_eq!(api.ask("DELETE", &path).status, 403);
    let counts = [lists(), watches(), Requests::all()].map(|requests| setup.proxy.count(&requests));
    assert_eq!(counts, [2, 1, 3]);
    assert!(setup.proxy.asked(&watches())[0].query.contains(&format!("resourceVersion={version}")));
    setup.proxy.forget();
    assert_eq!(setup.proxy.count(&Requests::all()), 0);
}

/// The same, of a kind that is only now there.
#[test]
fn a_kind_of_kumas_is_watched_through_a_proxy() {
    let Some(cluster) = ControlPlane::own("a_kind_of_kumas_is_watched_through_a_proxy") else { return };
    let api = cluster.api();
    let proxy = Proxy::start(&cluster, TCPROUTE);
    rbac::grant(&api, TCPROUTE, "dataplanes", &rbac::reading(&[DATAPLANE]));
    wait_for("the grant is known", || proxy.api().ask("GET", &DATAPLANE.collection(None)).status == 404);
    crds::install(&api, &[DATAPLANE]);
    api.create(&DATAPLANE, &DATAPLANE.object("default/web-1", json!({"mesh": "default"})));
    let mut watch = proxy.api().watch(&DATAPLANE, None, None).unwrap();
    assert_eq!(watch.wait_for("ADDED", "web-1")["object"]["mesh"], "default");
    api.patch(&DATAPLANE, "default/web-1", &json!({"mesh": "other"}));
    assert_eq!(watch.wait_for("MODIFIED", "web-1")["object"]["mesh"], "other");
    crds::uninstall(&api, &DATAPLANE);
    watch.wait_for("DELETED", "web-1");
}

#[test]
fn a_proxy_answers_instead_of_the_server() {
    let Some(setup) = Setup::of("a_proxy_answers_instead_of_the_server") else { return };
    let api = setup.proxy.api();
    for code in [401, 403, 410, 500] {
        setup.proxy.inject(lists(), Fault::status(code));
        let answer = api.ask("GET", &setup.path());
        assert_eq!((answer.status, &answer.json()["code"]), (code, &json!(code)));
    }
    setup.proxy.inject(lists(), Fault::garbage());
    let answer = api.ask("GET", &setup.path());
    assert_eq!(answer.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&answer.body).is_err(), "{answer:?}");
    // Watches are left alone.
    let mut watch = api.watch(&CONFIG_MAP, Some(&setup.namespace), None).unwrap();
    watch.wait_for("ADDED", "first");
    setup.proxy.inject(watches(), Fault::expired());
    let mut watch = api.watch(&CONFIG_MAP, Some(&setup.namespace), None).unwrap();
    let event = watch.next_event().unwrap().unwrap();
    assert_eq!((watch.status, &event["type"], &event["object"]["code"]), (200, &json!("ERROR"), &json!(410)));
    assert_eq!(watch.next_event().unwrap(), None);
    setup.proxy.heal();
    assert_eq!(setup.read(&api), Some(200));
}

#[test]
fn a_proxy_fails_as_often_as_it_is_told() {
    let Some(setup) = Setup::of("a_proxy_fails_as_often_as_it_is_told") else { return };
    setup.proxy.inject(lists(), Fault::status(500));
    setup.proxy.inject_times(2, lists(), Fault::too_many_requests(7));
    let codes = [(); 3].map(|()| setup.read(&setup.proxy.api()));
    assert_eq!(codes, [Some(429), Some(429), Some(500)]);
    setup.proxy.inject_times(1, Requests::to("/pods"), Fault::Cut);
    assert_eq!(setup.read(&setup.proxy.api()), Some(500));
}

#[test]
fn a_proxy_tells_when_to_come_again() {
    let Some(setup) = Setup::of("a_proxy_tells_when_to_come_again") else { return };
    setup.proxy.inject(lists(), Fault::too_many_requests(7));
    let url = format!("http://{}{}", setup.proxy.address(), setup.path());
    let output = std::process::Command::new("curl").args(["-si", &url]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
    assert!(text.starts_with("http/1.1 429 ") && text.contains("\r\nretry-after: 7\r\n"), "{text}");
}

#[test]
fn a_proxy_cuts_connections() {
    let Some(setup) = Setup::of("a_proxy_cuts_connections") else { return };
    let api = setup.proxy.api();
    setup.proxy.inject_times(1, lists(), Fault::Cut);
    assert_eq!(setup.read(&api), None);
    setup.proxy.inject_times(1, lists(), Fault::CutAfter(10));
    assert_eq!(setup.read(&api), None);
    // What had come before is handed on.
    setup.proxy.inject_times(1, watches(), Fault::CutAfter(10));
    let mut watch = api.watch(&CONFIG_MAP, Some(&setup.namespace), None).unwrap();
    assert_eq!(watch.status, 200);
    assert!(watch.next_event().is_err());
    // An open one is cut when the test says so, and others are not.
    let mut watch = api.watch(&CONFIG_MAP, Some(&setup.namespace), None).unwrap();
    watch.wait_for("ADDED", "first");
    setup.proxy.cut(lists());
    setup.write("second");
    watch.wait_for("ADDED", "second");
    setup.proxy.cut(watches());
    assert!(watch.next_event().is_err());
    assert_eq!(setup.read(&api), Some(200));
}

#[test]
fn a_proxy_hangs_until_it_is_cut() {
    let Some(setup) = Setup::of("a_proxy_hangs_until_it_is_cut") else { return };
    for fault in [Fault::Hang, Fault::HangAfter(10)] {
        setup.proxy.forget();
        setup.proxy.inject_times(1, lists(), fault.clone());
        let api = setup.proxy.api();
        std::thread::scope(|scope| {
            let hanging = scope.spawn(|| setup.read(&api));
            wait_for("it was asked", || setup.proxy.count(&lists()) == 1);
            // Others are answered meanwhile.
            assert_eq!(setup.read(&setup.proxy.api()), Some(200));
            assert!(!hanging.is_finished(), "{fault:?}");
            wait_for("it is cut", || {
                setup.proxy.cut(lists());
                hanging.is_finished()
            });
            assert_eq!(hanging.join().unwrap(), None, "{fault:?}");
        });
    }
}

#[test]
fn a_proxy_hands_on_late() {
    let Some(setup) = Setup::of("a_proxy_hands_on_late") else { return };
    let delay = Duration::from_millis(300);
    setup.proxy.inject_times(1, lists(), Fault::Delay(delay));
    let begin = Instant::now();
    assert_eq!(setup.read(&setup.proxy.api()), Some(200));
    assert!(begin.elapsed() >= delay);
}

/// As if nobody was there.
#[test]
fn a_proxy_closes_connections_while_there_is_no_server() {
    let Some(cluster) = ControlPlane::own("a_proxy_closes_connections_while_there_is_no_server") else {
        return;
    };
    let proxy = Proxy::start(&cluster, TCPROUTE);
    assert_eq!(proxy.api().ask("GET", "/version").status, 200);
    cluster.kill_api_server();
    assert!(proxy.api().try_ask("GET", "/version", None).is_err());
    cluster.start_api_server();
    assert_eq!(proxy.api().ask("GET", "/version").status, 200);
}
