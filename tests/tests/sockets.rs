//! Every way to connect, and what getpeername says afterwards.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{path::Path, process::Command};

use tcproute_tests::{
    Loopback,
    client::{script, stdout},
    is_root,
    mesh::Mesh,
    routes::OneBackend,
    server::Server,
    tcproute::{exec, exec_command},
};

fn ipv4() -> OneBackend {
    OneBackend::new(Loopback::claim())
}

/// Runs a Python program with `HOST, PORT` (dialled) and `BACKEND` (an address) as the Dataplane.
fn python(route: &OneBackend, body: &str) -> String {
    let (host, port) = (route.dialled.ip(), route.dialled.port());
    let (backend, backend_port) = (route.backend.address().ip(), route.backend.address().port());
    let head = format!("HOST, PORT = '{host}', {port}\nBACKEND = ('{backend}', {backend_port})\n");
    stdout(&exec(&route.mesh.file(), "web", &["python3", "-SEc", &script(&(head + body))]))
}

#[test]
fn ipv4_to_ipv4() {
    if !is_root("ipv4_to_ipv4") {
        return;
    }
    let out = python(&ipv4(), "s = dial(HOST, PORT); print(name(s), s.getpeername() == (HOST, PORT))");
    assert_eq!(out, "backend True");
}

#[test]
fn ipv6_to_ipv6() {
    if !is_root("ipv6_to_ipv6") {
        return;
    }
    let route = OneBackend::between("[fd00:7c::1]:5432".parse().unwrap(), "[::1]:0".parse().unwrap());
    let out = python(&route, "s = dial(HOST, PORT); print(name(s), s.getpeername()[:2] == (HOST, PORT))");
    assert_eq!(out, "backend True");
}

#[test]
fn v4_mapped_sockets_use_the_ipv4_routes() {
    if !is_root("v4_mapped_sockets_use_the_ipv4_routes") {
        return;
    }
    let out = python(
        &ipv4(),
        "s = dial('::ffff:' + HOST, PORT); print(name(s), s.getpeername()[:2] == ('::ffff:' + HOST, PORT))",
    );
    assert_eq!(out, "backend True");
}

#[test]
fn ipv6_leads_to_ipv4_unless_the_socket_is_v6_only() {
    if !is_root("ipv6_leads_to_ipv4_unless_the_socket_is_v6_only") {
        return;
    }
    let net = Loopback::claim();
    let route = OneBackend::between("[fd00:7c::2]:5432".parse().unwrap(), (net.ip(1, 1), 0).into());
    let out = python(
        &route,
        "
s = dial(HOST, PORT); print(name(s), s.getpeername()[:2] == (HOST, PORT))
s = socket.socket(socket.AF_INET6); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
try: s.connect((HOST, PORT)); print('connected')
except OSError as e: print(errno.errorcode[e.errno])
",
    );
    assert_eq!(out, "backend True\nENETUNREACH");
}

#[test]
fn udp_is_untouched() {
    if !is_root("udp_is_untouched") {
        return;
    }
    let route = ipv4();
    let out = python(
        &route,
        "
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); echo.bind((HOST, PORT))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((HOST, PORT)); s.send(b'x')
print(echo.recv(9), s.getpeername() == (HOST, PORT))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(BACKEND); print(s.getpeername() == BACKEND)
",
    );
    assert_eq!(out, "b'x' True\nTrue");
}

#[test]
fn non_blocking_connect() {
    if !is_root("non_blocking_connect") {
        return;
    }
    let out = python(
        &ipv4(),
        "
s = socket.socket(); s.setblocking(False)
e = s.connect_ex((HOST, PORT)); assert e in (0, errno.EINPROGRESS), e
select.select([], [s], [], 10); print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
e = s.connect_ex((HOST, PORT)); assert e in (0, errno.EISCONN), e
s.setblocking(True); print(name(s), s.getpeername() == (HOST, PORT))
",
    );
    assert_eq!(out, "0\nbackend True");
}

#[test]
fn tcp_fast_open_by_sendto() {
    if !is_root("tcp_fast_open_by_sendto") {
        return;
    }
    let out = python(
        &ipv4(),
        "
for _ in range(2):
    s = socket.socket()
    assert s.sendto(b'hello', socket.MSG_FASTOPEN, (HOST, PORT)) == 5
    print(name(s), s.getpeername() == (HOST, PORT))
",
    );
    assert_eq!(out, "backend True\nbackend True");
}

#[test]
fn mptcp_sockets_are_routed() {
    if !is_root("mptcp_sockets_are_routed") {
        return;
    }
    let route = ipv4();
    let out = python(
        &route,
        "
try: s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
except OSError as e: print('no MPTCP: ' + e.strerror); sys.exit()
s.settimeout(10); s.connect((HOST, PORT)); print(name(s)); print(s.getpeername() == (HOST, PORT))
",
    );
    if out.starts_with("no MPTCP") {
        println!("SKIPPED mptcp_sockets_are_routed: {out}");
        return;
    }
    assert_eq!(out, "backend\nTrue");
}

/// `connect(AF_UNSPEC)` runs no program, and the socket may then go anywhere: also straight to the endpoint
/// that was chosen for it before.
#[test]
fn a_socket_used_again_shows_its_new_peer() {
    if !is_root("a_socket_used_again_shows_its_new_peer") {
        return;
    }
    let net = Loopback::claim();
    let other = Server::start((net.ip(9, 9), 0), "other");
    let route = ipv4();
    let (host, port) = (other.address().ip(), other.address().port());
    let out = python(
        &route,
        &format!(
            "
OTHER = ('{host}', {port})
s = dial(HOST, PORT); print(name(s), s.getpeername() == (HOST, PORT))
disconnect(s); s.connect(OTHER); print(name(s), s.getpeername() == OTHER)
disconnect(s); s.connect((HOST, PORT)); print(name(s), s.getpeername() == (HOST, PORT))
disconnect(s); s.connect(BACKEND); print(name(s), s.getpeername() == BACKEND)
"
        ),
    );
    assert_eq!(out, "backend True\nother True\nbackend True\nbackend True");
}

#[test]
fn a_backend_without_endpoint_refuses() {
    if !is_root("a_backend_without_endpoint_refuses") {
        return;
    }
    let net = Loopback::claim();
    let mut mesh = Mesh::new();
    mesh.outbound("db", (net.ip(0, 1), 1).into()).outbound("zero", (net.ip(0, 2), 1).into());
    mesh.split("db", &[("nowhere", 1)]).split("zero", &[("x", 0)]);
    mesh.endpoint("zero", "x", (net.ip(1, 1), 1).into());
    // Whatever listens at the dialled address must not be reached.
    let _listening = [Server::start((net.ip(0, 1), 1), "wrong"), Server::start((net.ip(0, 2), 1), "wrong")];
    let body = format!(
        "
for host in ('{}', '{}', '::ffff:{}'):
    for blocking in (True, False):
        s = socket.socket(family(host)); s.setblocking(blocking)
        print(errno.errorcode[s.connect_ex((host, 1))])
",
        net.ip(0, 1),
        net.ip(0, 2),
        net.ip(0, 1)
    );
    let out = stdout(&exec(&mesh.file(), "web", &["python3", "-SEc", &script(&body)]));
    // bpf_set_retval came to these hooks with 6.0.
    let expected = if kernel() >= (6, 0) { "ECONNREFUSED" } else { "EPERM" };
    assert_eq!(out, [expected; 6].join("\n"));
}

fn kernel() -> (u32, u32) {
    let name = nix::sys::utsname::uname().unwrap();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[test]
fn a_refused_socket_may_try_again() {
    if !is_root("a_refused_socket_may_try_again") {
        return;
    }
    let net = Loopback::claim();
    let route = ipv4();
    // Half of the connections go to an endpoint where nothing listens.
    let mut mesh = Mesh::new();
    mesh.outbound("db", route.dialled);
    mesh.endpoint("db", "x", route.backend.address()).endpoint("db", "x", (net.ip(1, 1), 1).into());
    let route = OneBackend { mesh, ..route };
    let out = python(
        &route,
        "
retried = 0
for _ in range(50):
    s = socket.socket()
    while (e := s.connect_ex((HOST, PORT))) != 0:
        assert e == errno.ECONNREFUSED, e
        retried += 1
    assert name(s) == 'backend' and s.getpeername() == (HOST, PORT)
print(retried > 0)
",
    );
    assert_eq!(out, "True");
}

#[test]
fn curl_and_netcat_and_java_are_routed() {
    if !is_root("curl_and_netcat_and_java_are_routed") {
        return;
    }
    let route = ipv4();
    let (host, port) = (route.dialled.ip().to_string(), route.dialled.port().to_string());
    let file = route.mesh.file();

    let out = stdout(&exec(&file, "web", &["nc", "-d", "-w", "10", &host, &port]));
    assert_eq!(out, "backend");

    // curl's remote_ip is what getpeername says.
    let url = format!("http://{host}:{port}/");
    let format = "%{remote_ip}:%{remote_port}";
    let out = stdout(&exec(&file, "web", &["curl", "-sS", "--http0.9", "-m", "10", "-w", format, &url]));
    assert_eq!(out, format!("backend\n{host}:{port}"));

    java(&file, &host, &port);
}

/// Java dials through AF_INET6 sockets with v4-mapped addresses.
fn java(file: &Path, host: &str, port: &str) {
    if Command::new("java").arg("-version").output().is_err() {
        println!("SKIPPED java: it is not installed");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("Dial.java");
    let program = r#"
        public class Dial {
            public static void main(String[] to) throws Exception {
                try (var s = new java.net.Socket(to[0], Integer.parseInt(to[1]))) {
                    var name = new java.io.BufferedReader(new java.io.InputStreamReader(s.getInputStream())).readLine();
                    System.out.println(name + " " + s.getRemoteSocketAddress());
                }
            }
        }"#;
    std::fs::write(&source, program).unwrap();
    let out =
        stdout(&exec_command(file, "web", &["java", source.to_str().unwrap(), host, port]).output().unwrap());
    assert_eq!(out, format!("backend /{host}:{port}"));
}
