//! Whatever a control plane answers: what was known stays in force, and it is told why.

use std::time::Instant;

use tcproute_tests::{
    control_plane::{Authority, Fault, Options, Server, Tls, Version},
    is_root,
    tcproute::Daemon,
    wait_for,
};

use super::fixture::{Setup, lead, others, source, tcproute, why};

const LIST: &str = "/meshes/default/dataplanes";

/// Each fault of each kind of answer, one after the other, for a daemon that runs; over TLS.
#[test]
fn no_fault_changes_a_route_and_each_is_told() {
    if !is_root("no_fault_changes_a_route_and_each_is_told") {
        return;
    }
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let ca = authority.write_to(directory.path()).ca;
    for version in Version::ALL {
        let tls = Some(Tls::new(authority.server()));
        let server = Server::start(Options { tls, ..Options::of(version) });
        let setup = Setup::new();
        server.put_yaml(&setup.documents());
        others(&server, 9);
        let daemon = setup.start(&server.url(), &["--ca", ca.to_str().unwrap()]);
        setup.reach("v1");
        for (fault, told) in [
            (Fault::status(500), "it says 500"),
            (Fault::status(503), "it says 503"),
            (Fault::busy(429, 1), "too much to do (429)"),
            (Fault::status(401), "does not take the token (401)"),
            (Fault::status(403), "forbids it (403), so that a --token-file"),
            (Fault::status(404), "404"),
            (Fault::Redirect("http://127.0.0.1:1/".to_owned()), "leads elsewhere (30"),
            (Fault::Cut, "it cannot be reached"),
            (Fault::Garbage, "cannot be read"),
            (Fault::Truncated, "cannot be read"),
            (Fault::Endless, "it is longer than"),
            (Fault::DropsFields, "networking: must be set"),
            (Fault::Empty, "it has only 0 of 12"),
        ] {
            let name = format!("{fault:?}");
            // For as long as it is not told. An empty list counts when it is there twice.
            let times = matches!(fault, Fault::Empty).then_some(1);
            server.fault(LIST, fault, times);
            wait_for(&format!("{name} is told as {told:?}"), || is_told(&daemon, told));
            assert_eq!(setup.reached(10), ["v1"], "{name}");
            server.clear_faults();
            wait_for(&format!("{name} is over"), || why(&daemon).is_none() && rejected(&daemon).is_empty());
        }
        assert_eq!(setup.reached(10), ["v1"]);
        server.put_yaml(&lead(0, 1));
        setup.reach("v2");
    }
}

fn rejected(daemon: &Daemon) -> String {
    let status = daemon.json("/v1/status");
    let rejected = status["rejected"].as_array().unwrap();
    rejected.iter().map(|rejected| rejected["violations"].to_string()).collect()
}

fn is_told(daemon: &Daemon, told: &str) -> bool {
    why(daemon).is_some_and(|why| why.contains(told)) || rejected(daemon).contains(told)
}

/// What takes as long as a request may.
#[test]
fn a_control_plane_that_hangs_holds_nothing_up() {
    if !is_root("a_control_plane_that_hangs_holds_nothing_up") {
        return;
    }
    let server = Server::start(Options::default());
    let setup = Setup::new();
    server.put_yaml(&setup.documents());
    let daemon = setup.start(&server.url(), &[]);
    setup.reach("v1");
    server.fault(LIST, Fault::Hang, None);
    wait_for("it is told", || why(&daemon).is_some_and(|why| why.contains("has not answered within 10s")));
    assert_eq!(setup.reached(10), ["v1"]);
    // What it does answer is in force, although this list is still waited for.
    server.put_yaml(&lead(0, 1));
    setup.reach("v2");
    assert!(why(&daemon).is_some());
    server.clear_faults();
    wait_for("it is over", || why(&daemon).is_none());
}

#[test]
fn a_list_that_tears_is_read_again() {
    if !is_root("a_list_that_tears_is_read_again") {
        return;
    }
    let server = Server::start(Options::default());
    let setup = Setup::new();
    server.put_yaml(&setup.documents());
    others(&server, 2500);
    let daemon = setup.start(&server.url(), &[]);
    setup.reach("v1");
    let count = || source(&daemon)["resources"].as_u64().unwrap();
    let before = count();
    for fault in [Fault::ShiftBetweenPages, Fault::Twice, Fault::TotalMoves, Fault::Short] {
        let name = format!("{fault:?}");
        // Once: then it is read again at once, and nobody hears of it.
        server.fault(LIST, fault, Some(1));
        server.forget_requests();
        wait_for(&format!("{name}: it is read again"), || {
            server
                .requests()
                .iter()
                .filter(|it| it.path.contains("/dataplanes?size=1000&offset=1998"))
                .count()
                > 1
        });
        assert_eq!((count(), why(&daemon)), (before, None), "{name}");
    }
    server.fault(LIST, Fault::TotalMoves, None);
    wait_for("it is told", || why(&daemon).is_some_and(|why| why.contains("changes while it is read")));
    assert_eq!((count(), setup.reached(10)), (before, vec!["v1".to_owned()]));
    server.clear_faults();
    wait_for("it is over", || why(&daemon).is_none());
}

#[test]
fn a_mesh_that_is_not_there_wipes_nothing() {
    if !is_root("a_mesh_that_is_not_there_wipes_nothing") {
        return;
    }
    for version in Version::ALL {
        let server = Server::start(Options::of(version));
        let setup = Setup::new();
        server.put_yaml("type: Mesh\nname: other\n");
        server.put_yaml(&setup.documents().replace("mesh: default", "mesh: other"));
        let daemon = setup.start(&server.url(), &["--mesh", "other"]);
        setup.reach("v1");
        // From then on its lists are empty in 2.4.
        server.stop();
        for name in ["web", "db-1", "db-2"] {
            server.delete("Dataplane", "other", name);
        }
        server.delete("MeshTCPRoute", "other", "split");
        server.delete("Mesh", "", "other");
        server.restart();
        wait_for("it is told", || {
            why(&daemon).is_some_and(|why| why.contains("there is no such mesh (404)"))
        });
        let lists = || server.requests().iter().filter(|it| it.path.starts_with("/meshes/other/")).count();
        server.forget_requests();
        let begun = Instant::now();
        wait_for("it is asked again", || server.requests_count() > 20);
        let polls = server.requests().iter().filter(|it| it.path == "/").count() as u128;
        assert!(polls <= 2 + begun.elapsed().as_millis() / 80, "it is asked all the time");
        assert_eq!((setup.reached(10), lists()), (vec!["v1".to_owned()], 0));
        drop(daemon);

        // One that has never been there is told at once, with those that are.
        let output = tcproute(&["resolve", "--all", "--mesh", "typo"], &server.url(), &[]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(told.contains("/meshes/typo: there is no such mesh (404); there are: default"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

/// A control plane that keeps its resources in memory, and was started again.
#[test]
fn all_that_goes_at_once_goes_when_it_is_gone_twice() {
    if !is_root("all_that_goes_at_once_goes_when_it_is_gone_twice") {
        return;
    }
    let server = Server::start(Options::default());
    let setup = Setup::new();
    server.put_yaml(&setup.documents());
    others(&server, 9);
    let daemon = setup.start_with(&server.url(), &["--allow-loopback", "--poll-interval", "1"]);
    setup.reach("v1");
    server.fault(LIST, Fault::Empty, Some(1));
    wait_for("it is told", || why(&daemon).is_some_and(|why| why.contains("it has only 0 of 12")));
    wait_for("it was an error", || why(&daemon).is_none());
    assert_eq!(setup.reached(10), ["v1"]);
    server.forget();
    wait_for("it counts", || source(&daemon)["resources"].as_u64() < Some(5));
}
