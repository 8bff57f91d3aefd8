//! Sockets that are bound where they cannot reach the endpoint: they go where they dial, as if there was no route.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    net::{Ipv6Addr, SocketAddr},
    process::{Command, Stdio},
};

use tcproute_tests::{
    cgroup::TestCgroup,
    client::{script, stdout},
    echo::Echo,
    hosts::Hosts,
    is_root,
    mesh::Mesh,
    tcproute::{Daemon, binary},
    wait_for,
};

const PORT: u16 = 5432;
/// Where applications dial, and where a proxy listens.
const FOUR: u16 = 17001;
const SIX: u16 = 17002;
/// A route with an endpoint on loopback, beside one of IPv4 that is dialled over IPv6.
const NEAR: u16 = 17003;
const MIXED: u16 = 17004;

fn hosts(test: &str) -> Option<Hosts> {
    if !is_root(test) {
        return None;
    }
    let hosts = Hosts::of(test)?;
    let mut adding = [("1", hosts.on_client("ip")), ("2", hosts.on_server("ip"))];
    for (last, ip) in &mut adding {
        let address = format!("fd77::{last}/64");
        let added = ip.args(["addr", "add", &address, "dev", "eth0", "nodad"]).stderr(Stdio::null()).status();
        assert!(added.unwrap().success(), "there is IPv6");
    }
    Some(hosts)
}

/// Prints who answers, and the peer, for each way to be bound. The proxy is here.
fn client(port_of_near: u16) -> String {
    script(&format!(
        "
import threading
def serve(l, who):
    while True:
        s, _ = l.accept(); s.sendall(who); s.close()
def listen(host, port, who):
    l = socket.create_server((host, port), family=family(host))
    threading.Thread(target=serve, args=(l, who), daemon=True).start()
for host, port in ('127.0.0.1', {FOUR}), ('::1', {SIX}), ('::1', {MIXED}), ('127.0.0.1', {NEAR}): listen(host, port, b'proxy\\n')
listen('127.9.9.9', {port_of_near}, b'near\\n')
def go(what, host, port, bind=None, device=None):
    s = socket.socket(family(host)); s.settimeout(10)
    try:
        if device: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        if bind: s.bind((bind, 0))
        s.connect((host, port)); print(what, name(s), s.getpeername()[:2] == (host, port))
    except OSError as e: print(what, errno.errorcode.get(e.errno, e))
go('unbound', '127.0.0.1', {FOUR})
go('any', '127.0.0.1', {FOUR}, '0.0.0.0')
go('loopback', '127.0.0.1', {FOUR}, '127.0.0.1')
go('other loopback', '127.0.0.1', {FOUR}, '127.3.2.1')
go('device', '127.0.0.1', {FOUR}, None, b'lo')
go('mapped', '::ffff:127.0.0.1', {FOUR}, '::ffff:127.0.0.1')
go('near', '127.0.0.1', {NEAR}, '127.0.0.1')
go('near device', '127.0.0.1', {NEAR}, None, b'lo')
go('unbound six', '::1', {SIX})
go('loopback six', '::1', {SIX}, '::1')
go('device six', '::1', {SIX}, None, b'lo')
go('unbound mixed', '::1', {MIXED})
go('loopback mixed', '::1', {MIXED}, '::1')
go('other family', '::1', {MIXED}, 'fd77::1')
"
    ))
}

#[test]
fn what_is_bound_to_loopback_goes_where_it_dials() {
    let Some(hosts) = hosts("what_is_bound_to_loopback_goes_where_it_dials") else { return };
    let address = hosts.server_address();
    let six: SocketAddr = ("fd77::2".parse::<Ipv6Addr>().unwrap(), PORT).into();
    let _four = Echo::serve(hosts.listen_on_server((address, PORT).into()), "backend");
    let _six = Echo::serve(hosts.listen_on_server(six), "backend6");
    let near = 17005;
    let mut mesh = Mesh::new();
    for (service, dialled, endpoint) in [
        ("four", SocketAddr::from(([127, 0, 0, 1], FOUR)), SocketAddr::from((address, PORT))),
        ("near", ([127, 0, 0, 1], NEAR).into(), ([127, 9, 9, 9], near).into()),
        ("six", (Ipv6Addr::LOCALHOST, SIX).into(), six),
        ("mixed", (Ipv6Addr::LOCALHOST, MIXED).into(), (address, PORT).into()),
    ] {
        mesh.outbound(service, dialled).endpoint(service, "x", endpoint);
    }
    let workload = TestCgroup::create();
    let daemon = Daemon::start(&mesh.file(), &[("web", workload.path())]);
    let mut trace = Command::new(binary());
    trace.args(["trace", "--outcome", "source-bound", "--count", "8", "--output", "json", "--admin-socket"]);
    let trace = trace.arg(daemon.admin_socket()).stdout(Stdio::piped()).spawn().unwrap();
    wait_for("somebody listens", || daemon.metric("tcproute_trace_listeners") == 1);

    let mut client_ = hosts.on_client_in(&workload, "python3");
    let out = stdout(&client_.args(["-SEc", &client(near)]).output().unwrap());
    let expected = [
        "unbound backend True",
        "any backend True",
        "loopback proxy True",
        "other loopback proxy True",
        "device proxy True",
        "mapped proxy True",
        "near near True",
        "near device near True",
        "unbound six backend6 True",
        "loopback six proxy True",
        "device six proxy True",
        "unbound mixed backend True",
        "loopback mixed proxy True",
        "other family proxy True",
    ];
    assert_eq!(out, expected.join("\n"));

    assert_eq!(daemon.metric("tcproute_decisions_total{decision=\"source_bound\"}"), 8);
    assert_eq!(daemon.metric("tcproute_decisions_total{decision=\"routed\"}"), 6);
    assert_eq!(daemon.metric("tcproute_decisions_total{decision=\"internal_error\"}"), 0);
    let outcomes = daemon.json("/v1/outcomes");
    let attempted = outcomes[0]["routes"].as_array().unwrap().iter().map(|route| {
        let outcomes = &route["backends"][0]["outcomes"];
        (route["service"].as_str().unwrap().to_owned(), outcomes["attempted"].as_u64().unwrap())
    });
    let attempted: Vec<(String, u64)> = attempted.collect();
    let expected = [("four", 2), ("mixed", 1), ("near", 2), ("six", 1)];
    assert_eq!(attempted, expected.map(|(service, count)| (service.to_owned(), count)));
    wait_for("the status tells it", || {
        daemon.json("/v1/status")["warnings"]
            .to_string()
            .contains("8 connections were left to the addresses that they dialled")
    });
    let traced = stdout(&trace.wait_with_output().unwrap());
    assert_eq!(traced.lines().count(), 8, "{traced}");
    daemon.wait_for_line("connections were left to the addresses that they dialled");
}
