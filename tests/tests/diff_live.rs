//! `tcproute diff --live`: what files would change against what is in force on this node, with its traffic.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::stdout,
    is_root,
    load::Load,
    mesh::Mesh,
    server::Server,
    tcproute::{Daemon, binary},
    wait_for,
};

#[test]
fn what_a_file_would_change_is_told_with_the_connections_that_would_move() {
    if !is_root("what_a_file_would_change_is_told_with_the_connections_that_would_move") {
        return;
    }
    let net = Loopback::claim();
    let dialled = SocketAddr::from((net.ip(0, 1), 5432));
    let servers = ["a", "b"].map(|name| Server::start((net.ip(1, 1 + u8::from(name == "b")), 0), name));
    let mesh = |weights: [u32; 2]| {
        let mut mesh = Mesh::new();
        mesh.outbound("db", dialled).split("db", &[("a", weights[0]), ("b", weights[1])]);
        mesh.endpoint("db", "a", servers[0].address()).endpoint("db", "b", servers[1].address());
        mesh
    };
    let (in_force, next) = (mesh([90, 10]), mesh([60, 40]));
    let cgroup = TestCgroup::create();
    let daemon = Daemon::start(&in_force.file(), &[("web", cgroup.path())]);
    let load = Load::start(&cgroup, dialled, 2);

    let diff = |more: &[&str]| {
        let mut diff = Command::new(binary());
        diff.args(["diff", "--live", "--admin-socket"]).arg(daemon.admin_socket());
        stdout(&diff.args(more).output().unwrap())
    };
    let sampled = |more: &[&str]| diff(&[&["--traffic", "1"], more].concat());
    let file = |mesh: &Mesh| mesh.file().display().to_string();
    let json: Value = serde_json::from_str(&sampled(&[&file(&next), "--output", "json"])).unwrap();
    println!("{json:#}");
    let route = &json[0]["routes"][0];
    assert!((route["moved"].as_f64().unwrap() - 0.3).abs() < 1e-9, "{route}");
    assert!(route["perSecond"].as_f64().unwrap() > 1.0, "{route}");
    let table = sampled(&[&file(&next)]);
    println!("{table}");
    assert!(table.ends_with("By the connections of the last 1s."), "{table}");
    assert!(
        table.contains("30.0 % of the connections go elsewhere: ") && table.contains(" a second"),
        "{table}"
    );

    // The daemon remembers what there was before anybody asked.
    wait_for("the daemon has kept counts for a while", || {
        daemon.json("/v1/recent")["seconds"].as_f64().is_some_and(|seconds| seconds >= 5.0)
    });
    let recent = daemon.json("/v1/recent");
    assert_eq!(recent["routes"][0]["port"], 5432, "{recent}");
    assert!(recent["routes"][0]["connections"].as_u64().unwrap() > 5, "{recent}");
    load.finish();
    let after = Instant::now();
    let json: Value = serde_json::from_str(&diff(&[&file(&next), "--output", "json"])).unwrap();
    assert!(json[0]["routes"][0]["perSecond"].as_f64().unwrap() > 1.0, "{json}");
    let table = diff(&[&file(&next)]);
    println!("{table}");
    assert!(after.elapsed() < Duration::from_secs(5), "it is not waited for");

    // Nothing would change by what is in force already, also if it is applied to what a source has.
    assert_eq!(diff(&[&file(&in_force)]), "no connection goes elsewhere");
    let with = ["--with", &file(&next), "--source", "files", "--resources", &file(&in_force)];
    assert!(diff(&with).contains("30.0 % of the connections"));
    let both = Command::new(binary()).args(["diff", "--live", "a", "b"]).output().unwrap();
    assert!(!both.status.success());
}
