//! Following an API server that fails, goes away and comes back: what is in force stays until something else is known.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use serde_json::{Value, json};
use tcproute_tests::{
    client::reaches,
    cluster::{
        ADMIN, ControlPlane, Proxy, STRANGER,
        kinds::DATAPLANE,
        proxy::{Fault, Requests},
    },
    is_root,
    tcproute::Daemon,
    wait_for,
};

use crate::node::{Node, Pod, attached, failing, install};

/// A node whose daemon reaches the API server by a proxy, with a pod that is routed.
struct Setup<'c> {
    node: Node<'c>,
    proxy: Proxy,
    daemon: Daemon,
    pod: Pod,
    tag: String,
    dialled: SocketAddr,
}

impl<'c> Setup<'c> {
    fn on(node: Node<'c>) -> Self {
        let (tag, dialled) = node.database();
        for version in ["v1", "v2"] {
            node.endpoint(&format!("db-{version}"), &tag, version);
        }
        node.route("route", &tag, &[("v1", 1)]);
        let proxy = Proxy::start(node.cluster, ADMIN);
        let kubeconfig = node.cluster.kubeconfig_through(proxy.address(), ADMIN);
        let daemon = node.daemon_by(&kubeconfig, &[]);
        let pod = node.running_pod("web");
        pod.gets_to(dialled, "v1");
        wait_for("all is followed", || failing(&daemon).is_none());
        proxy.forget();
        Self { node, proxy, daemon, pod, tag, dialled }
    }

    /// Has all connections go to another version.
    fn moves_to(&self, version: &str) {
        self.node.reroute("route", &self.tag, &[(version, 1)]);
        self.pod.gets_to(self.dialled, version);
    }

    fn gets_to(&self, version: &str) -> bool {
        reaches(self.pod.cgroup(), self.dialled, version)
    }

    fn count(&self, requests: &Requests) -> usize {
        self.proxy.count(requests)
    }
}

impl Setup<'static> {
    fn of(test: &str) -> Option<Self> {
        Node::of(test).map(Self::on)
    }
}

fn routes() -> Requests {
    Requests::to("/meshtcproutes")
}

/// How often everything was asked for, not only what has changed.
fn lists(proxy: &Proxy, requests: &Requests) -> usize {
    let asked = proxy.asked(requests);
    asked.iter().filter(|it| !it.is_watch || it.query.contains("sendInitialEvents")).count()
}

#[test]
fn a_connection_that_is_cut_goes_on_from_where_it_was() {
    let Some(setup) = Setup::of("a_connection_that_is_cut_goes_on_from_where_it_was") else { return };
    for version in ["v2", "v1", "v2"] {
        setup.proxy.cut(Requests::all());
        setup.moves_to(version);
    }
    assert_eq!(
        lists(&setup.proxy, &Requests::to("/apis/kuma.io/v1alpha1/mesh")),
        0,
        "nothing is listed anew"
    );
    let watches = setup.proxy.asked(&routes().watches());
    assert!(
        !watches.is_empty() && watches.iter().all(|it| it.query.contains("resourceVersion=")),
        "{watches:?}"
    );
}

/// 410, as an answer and as an event: all is listed anew, and what was in force stays meanwhile.
#[test]
fn a_version_that_is_too_old_has_all_listed_anew() {
    let Some(setup) = Setup::of("a_version_that_is_too_old_has_all_listed_anew") else { return };
    for (fault, version) in [(Fault::expired(), "v2"), (Fault::status(410), "v1")] {
        setup.proxy.forget();
        setup.proxy.inject_times(1, routes().watches(), fault);
        setup.proxy.cut(routes());
        wait_for("it is listed anew", || lists(&setup.proxy, &routes()) == 1);
        assert!(setup.gets_to(if version == "v2" { "v1" } else { "v2" }));
        setup.moves_to(version);
        assert_eq!(lists(&setup.proxy, &routes()), 1);
    }
}

#[test]
fn a_server_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_says() {
    let Some(setup) = Setup::of("a_server_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_says")
    else {
        return;
    };
    setup.proxy.inject_times(2, routes(), Fault::too_many_requests(3));
    setup.proxy.cut(routes());
    wait_for("it is followed again", || setup.count(&routes()) == 3);
    let asked = setup.proxy.asked(&routes());
    for pair in asked.windows(2) {
        let apart = pair[1].at - pair[0].at;
        assert!(apart >= Duration::from_secs(3), "{apart:?}");
    }
    setup.moves_to("v2");
}

/// Each is told, and tried again less and less often; the rest is followed all the while.
#[test]
fn what_fails_is_told_and_tried_again_and_nothing_else_waits_for_it() {
    let Some(setup) = Setup::of("what_fails_is_told_and_tried_again_and_nothing_else_waits_for_it") else {
        return;
    };
    let permissions = Requests::to("/meshtrafficpermissions");
    for (fault, told) in [
        (Fault::status(500), "says 500: the test wants 500"),
        (Fault::status(403), "(403): the test wants 403"),
        (Fault::garbage(), "cannot be read"),
    ] {
        setup.proxy.forget();
        setup.proxy.inject(permissions.clone(), fault);
        setup.proxy.cut(permissions.clone());
        wait_for(told, || failing(&setup.daemon).is_some_and(|why| why.contains(told)));
        wait_for("it is tried again", || setup.count(&permissions) >= 4);
        let asked = setup.proxy.asked(&permissions);
        // The first one may be the one that was cut.
        let apart: Vec<f64> = asked.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64()).collect();
        assert!(apart.iter().skip(1).all(|apart| *apart >= 0.25) && apart[2] >= 0.9, "{apart:?}");
        let version = if setup.gets_to("v1") { "v2" } else { "v1" };
        setup.moves_to(version);
        setup.proxy.heal();
        wait_for("it is followed again", || failing(&setup.daemon).is_none());
    }
}

/// An answer that does not come, or not further.
#[test]
fn a_slow_server_holds_nobody_else() {
    let Some(setup) = Setup::of("a_slow_server_holds_nobody_else") else { return };
    let permissions = Requests::to("/meshtrafficpermissions");
    for fault in [Fault::Hang, Fault::HangAfter(5), Fault::Delay(Duration::from_millis(700))] {
        setup.proxy.forget();
        setup.proxy.inject(permissions.clone(), fault);
        setup.proxy.cut(permissions.clone());
        wait_for("it is asked", || setup.count(&permissions) > 0);
        let version = if setup.gets_to("v1") { "v2" } else { "v1" };
        setup.moves_to(version);
        setup.proxy.heal();
        setup.proxy.cut(permissions.clone());
    }
}

/// A server that does not stream lists gives them in pages.
#[test]
fn lists_come_in_pages_where_they_do_not_stream() {
    let Some(node) = Node::of("lists_come_in_pages_where_they_do_not_stream") else { return };
    let (tag, dialled) = node.database();
    node.endpoint("db", &tag, "v1");
    node.route("route", &tag, &[("v1", 1)]);
    let inbounds = json!([{"port": 1, "tags": {"kuma.io/service": "many"}}]);
    for number in 0..700 {
        node.dataplane(&format!("many-{number}"), "192.0.2.1", &inbounds);
    }
    let proxy = Proxy::start(node.cluster, ADMIN);
    // Until each kind has been asked for once.
    for kind in ["/dataplanes", "/meshtcproutes", "/services"] {
        proxy.inject_times(1, Requests::to(kind).watches(), Fault::status(400));
    }
    let daemon = node.daemon_by(&node.cluster.kubeconfig_through(proxy.address(), ADMIN), &[]);
    let pod = node.running_pod("web");
    pod.gets_to(dialled, "v1");
    let pages = proxy.asked(&Requests::to("/dataplanes").no_watches());
    assert!(pages.len() >= 2 && pages[1].query.contains("continue="), "{pages:?}");
    assert!(pages.iter().all(|it| it.query.contains("limit=500")), "{pages:?}");
    wait_for("all are there", || {
        daemon.json("/v1/status")["sources"][0]["resources"].as_u64().is_some_and(|count| count > 700)
    });
}

/// The API server and etcd are killed and come back. What was in force stays, and what changes then goes in force.
#[test]
fn servers_that_come_back_are_followed_again() {
    let test = "servers_that_come_back_are_followed_again";
    if !is_root(test) {
        return;
    }
    let Some(cluster) = ControlPlane::own(test) else { return };
    install(&cluster.api());
    let setup = Setup::on(Node::on(&cluster));
    cluster.kill_api_server();
    wait_for("it is told", || failing(&setup.daemon).is_some_and(|why| why.contains("cannot be reached")));
    assert!(setup.gets_to("v1"));
    cluster.start_api_server();
    setup.moves_to("v2");
    wait_for("all is followed", || failing(&setup.daemon).is_none());
    cluster.kill_etcd();
    assert!(setup.gets_to("v2"));
    cluster.start_etcd();
    cluster.wait_ready();
    setup.moves_to("v1");
    // A daemon that starts meanwhile goes on with what the kernel has.
    cluster.kill_api_server();
    let Setup { node, pod, dialled, daemon, .. } = setup;
    drop(daemon);
    let kubeconfig = cluster.kubeconfig(ADMIN);
    let daemon = node.daemon_by(&kubeconfig, &["--start-timeout", "0.5"]);
    assert!(reaches(pod.cgroup(), dialled, "v1"));
    cluster.start_api_server();
    wait_for("all is followed", || failing(&daemon).is_none());
    attached(&daemon, 1);
    assert!(reaches(pod.cgroup(), dialled, "v1"));
}

/// Credentials and authorities that are replaced are taken up.
#[test]
fn a_token_and_an_authority_that_are_replaced_are_taken_up() {
    let Some(node) = Node::of("a_token_and_an_authority_that_are_replaced_are_taken_up") else { return };
    let (tag, dialled) = node.database();
    node.endpoint("db", &tag, "v1");
    node.route("route", &tag, &[("v1", 1)]);
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { directory.path().join(name) };
    fs::write(at("token"), "token-of-nobody").unwrap();
    // Of somebody else.
    fs::write(at("ca"), include_str!("other-authority.pem")).unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {
            "server": format!("https://{}", node.cluster.address()), "certificate-authority": at("ca"),
        }}],
        "users": [{"name": "u", "user": {"tokenFile": at("token")}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    fs::write(at("kubeconfig"), kubeconfig.to_string()).unwrap();
    let daemon = node.daemon_by(&at("kubeconfig"), &[]);
    let told = |what: &str| wait_for(what, || failing(&daemon).is_some_and(|why| why.contains(what)));
    told("certificate");
    fs::copy(node.cluster.authority(), at("ca")).unwrap();
    told("(401)");
    fs::write(at("token"), STRANGER.token).unwrap();
    told("(403)");
    fs::write(at("token"), ADMIN.token).unwrap();
    let pod = node.running_pod("web");
    pod.gets_to(dialled, "v1");
    wait_for("nothing fails", || failing(&daemon).is_none());
}

/// What an empty server says is not believed at once.
#[test]
fn a_list_that_lost_more_than_half_is_told_before_it_is_obeyed() {
    let Some(setup) = Setup::of("a_list_that_lost_more_than_half_is_told_before_it_is_obeyed") else {
        return;
    };
    let inbounds = json!([{"port": 1, "tags": {"kuma.io/service": "many"}}]);
    for number in 0..20 {
        setup.node.dataplane(&format!("many-{number}"), "192.0.2.1", &inbounds);
    }
    wait_for("all are there", || {
        let count = &setup.daemon.json("/v1/status")["sources"][0]["resources"];
        count.as_u64().is_some_and(|count| count > 20)
    });
    let end = json!({"type": "BOOKMARK", "object": {"kind": "Dataplane", "apiVersion": DATAPLANE.api_version(),
        "metadata": {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}}});
    let empty = Fault::Answer { status: 200, retry_after: None, body: format!("{end}\n") };
    let dataplanes = Requests::to("/dataplanes").watches();
    // Once, and what comes then is the truth.
    setup.proxy.inject_times(1, dataplanes.clone(), empty.clone());
    setup.proxy.inject_times(1, dataplanes.clone(), Fault::expired());
    setup.proxy.cut(dataplanes.clone());
    let told = || failing(&setup.daemon).is_some_and(|why| why.contains("the API server lists 0 of them"));
    wait_for("it is told", told);
    assert!(setup.gets_to("v1"));
    wait_for("it is asked again, and well", || failing(&setup.daemon).is_none());
    assert!(setup.gets_to("v1"));
    // Twice: then it is so.
    setup.proxy.inject(dataplanes.clone(), empty);
    setup.proxy.inject_times(1, dataplanes.clone(), Fault::expired());
    setup.proxy.cut(dataplanes);
    wait_for("it is told", told);
    assert!(setup.gets_to("v1"));
    wait_for("it is obeyed", || !setup.gets_to("v1"));
    attached(&setup.daemon, 1);
}

/// A node at rest asks for nothing but what changes.
#[test]
fn a_steady_node_asks_for_nothing() {
    let Some(setup) = Setup::of("a_steady_node_asks_for_nothing") else { return };
    for version in ["v2", "v1"].repeat(10) {
        setup.moves_to(version);
    }
    let asked = setup.proxy.asked(&Requests::all());
    let others: Vec<Value> = asked
        .iter()
        .filter(|it| !it.path.ends_with("/v1alpha1"))
        .map(|it| json!([it.path, it.query]))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(asked.len() <= 4, "which kinds there are is asked after a start, and then no more: {asked:?}");
}
