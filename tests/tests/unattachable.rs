//! A cgroup at which nothing can be attached stops nobody else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;

use tcproute_tests::{
    Loopback, cgroup::TestCgroup, client::reaches, is_root, rewriter::Alone, routes::OneBackend,
    tcproute::Daemon, wait_for,
};

#[test]
fn where_another_program_must_be_alone_the_other_workloads_are_routed() {
    if !is_root("where_another_program_must_be_alone_the_other_workloads_are_routed") {
        return;
    }
    let route = OneBackend::new(Loopback::claim());
    let parent = TestCgroup::create();
    let [taken, free, later] = ["web-1", "web-2", "web-3"].map(|name| parent.child(name));
    let alone = Alone::attach(&taken);
    let also_alone = Alone::attach(&later);
    let pattern = parent.path().join("web-*");
    // A named one, too: whatever it is, it is one of many.
    let named = TestCgroup::create();
    let named_alone = Alone::attach(&named);
    let workloads = [("web", pattern.as_path()), ("web", named.path())];
    let daemon = Daemon::start(&route.mesh.file(), &workloads);
    assert!(reaches(&free, route.dialled, "backend"));
    assert!(!reaches(&taken, route.dialled, "backend"));
    assert_eq!(daemon.metric("tcproute_workloads_attached"), 1);
    assert_eq!(daemon.metric("tcproute_workloads_failing"), 3);
    assert_eq!(daemon.get("/readyz").0, 200, "all that can be routed is");
    let warnings = daemon.json("/v1/status")["warnings"].to_string();
    assert!(warnings.contains(taken.path().to_str().unwrap()), "{warnings}");
    drop(alone);
    wait_for("it is attached when it can be", || reaches(&taken, route.dialled, "backend"));
    drop((also_alone, named_alone));
    wait_for("so are the others", || daemon.metric("tcproute_workloads_attached") == 4);
    assert_eq!(daemon.metric("tcproute_workloads_failing"), 0);
}

#[test]
fn a_threaded_cgroup_is_a_workload_as_others_are() {
    if !is_root("a_threaded_cgroup_is_a_workload_as_others_are") {
        return;
    }
    let route = OneBackend::new(Loopback::claim());
    let (domain, other) = (TestCgroup::create(), TestCgroup::create());
    let threaded = domain.child("threaded");
    fs::write(threaded.path().join("cgroup.type"), "threaded").unwrap();
    let workloads = [("web", threaded.path()), ("web", other.path())];
    let daemon = Daemon::start(&route.mesh.file(), &workloads);
    assert!(reaches(&other, route.dialled, "backend"));
    assert_eq!(daemon.metric("tcproute_workloads_attached"), 2);
}
