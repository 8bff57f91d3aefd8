//! A program of somebody else above the workload, which writes another destination once more after the choice.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{SocketAddr, SocketAddrV4};

use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{Client, script, stdout},
    is_root,
    rewriter::Rewriter,
    routes::OneBackend,
    server::Server,
    tcproute::{Daemon, binary},
    wait_for,
};

fn v4(address: SocketAddr) -> SocketAddrV4 {
    match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(address) => panic!("{address}"),
    }
}

#[test]
fn a_connection_that_another_program_leads_elsewhere_is_told_and_is_not_the_backends() {
    if !is_root("a_connection_that_another_program_leads_elsewhere_is_told_and_is_not_the_backends") {
        return;
    }
    let net = Loopback::claim();
    let route = OneBackend::new(net);
    let other = Server::start((net.ip(9, 9), 0), "other");
    let parent = TestCgroup::create();
    let workload = parent.child("web");
    // One failure would take the endpoint out: what happens elsewhere is no failure of it.
    let daemon = Daemon::start_with(
        &mut std::process::Command::new(binary()),
        &route.mesh.file(),
        &[("web", workload.path())],
        &["--eject-after", "1"],
    );
    let dial = |times: u32| {
        let (host, port) = (route.dialled.ip(), route.dialled.port());
        let body = format!(
            "
for _ in range({times}):
    for host in ('{host}', '::ffff:{host}'):
        s = dial(host, {port}); print(name(s), '%s:%d' % s.getpeername()[:2])
"
        );
        let client = workload.command("python3").args(["-SEc", &script(&body)]).output().unwrap();
        stdout(&client)
    };
    let outcomes = || daemon.json("/v1/outcomes")[0]["routes"][0]["backends"][0]["outcomes"].clone();
    assert_eq!(dial(1), format!("backend {0}\nbackend ::ffff:{0}", route.dialled));
    {
        // Of the two hooks it is at that of IPv4 alone.
        let _rewriter = Rewriter::attach(&parent, v4(route.backend.address()), v4(other.address()));
        let [first, second] =
            [format!("other {}", other.address()), format!("backend ::ffff:{}", route.dialled)];
        assert_eq!(dial(2), [&*first, &*second, &*first, &*second].join("\n"));
    }
    assert_eq!(dial(1), format!("backend {0}\nbackend ::ffff:{0}", route.dialled));
    wait_for("all connections have ended", || outcomes()["open"] == 0);
    let counts = outcomes();
    let of = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(
        ["attempted", "established", "closed", "elsewhere", "unsent", "failed"].map(of),
        [8, 6, 6, 2, 0, 0],
        "{counts:#}"
    );
    assert_eq!(daemon.metric("tcproute_connections_led_elsewhere_total"), 2);
    assert_eq!(daemon.metric("tcproute_decisions_total{decision=\"routed\"}"), 8);
    wait_for("the status tells it", || {
        daemon.json("/v1/status")["warnings"].to_string().contains("2 connections were led elsewhere")
    });
    daemon.wait_for_line("connections were led elsewhere after tcproute had chosen an endpoint");
}

/// A socket that is used again is its next connection's, wherever the one before went.
#[test]
fn a_socket_that_was_led_elsewhere_may_go_on() {
    if !is_root("a_socket_that_was_led_elsewhere_may_go_on") {
        return;
    }
    let net = Loopback::claim();
    let route = OneBackend::new(net);
    let other = Server::start((net.ip(9, 9), 0), "other");
    let parent = TestCgroup::create();
    let workload = parent.child("web");
    let _daemon = Daemon::start(&route.mesh.file(), &[("web", workload.path())]);
    let rewriter = Rewriter::attach(&parent, v4(route.backend.address()), v4(other.address()));
    let [host, backend] = [route.dialled, route.backend.address()].map(|address| address.ip());
    let [port, backend_port] = [route.dialled, route.backend.address()].map(|address| address.port());
    let body = format!(
        "
s = dial('{host}', {port}); print(name(s), s.getpeername() == ('{}', {}))
disconnect(s)
print('again', flush=True); sys.stdin.readline()
s.connect(('{backend}', {backend_port})); print(name(s), s.getpeername() == ('{backend}', {backend_port}))
disconnect(s)
s.connect(('{host}', {port})); print(name(s), s.getpeername() == ('{host}', {port}))
",
        other.address().ip(),
        other.address().port()
    );
    let mut client = Client::start(workload.command("python3"), &body);
    assert_eq!([client.line(), client.line()], ["other True", "again"]);
    drop(rewriter);
    client.go_on();
    assert_eq!([client.line(), client.line()], ["backend True", "backend True"]);
    client.end();
}
