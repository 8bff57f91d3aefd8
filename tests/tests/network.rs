//! Endpoints on another host: what the network answers reaches the application as if it had dialled them itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{Ipv4Addr, SocketAddr};

use tcproute_tests::{
    client::{script, stdout},
    hosts::Hosts,
    is_root,
    mesh::Mesh,
    process::Process,
    tcproute::binary,
};

const PORT: u16 = 5432;

/// Addresses behind the server.
const BEHIND: &str = "10.78.0.0/24";

struct Setup {
    hosts: Hosts,
    dialled: SocketAddr,
}

impl Setup {
    /// `None`, having said so, where the test cannot run.
    fn new(test: &str) -> Option<Self> {
        if !is_root(test) {
            return None;
        }
        Hosts::of(test).map(|hosts| Self { hosts, dialled: "10.99.0.1:5432".parse().unwrap() })
    }

    /// A server that waits for a byte, and then sends its name or, if `reset`, resets the connection.
    fn serve(&self, reset: bool) -> Process {
        let ending = if reset {
            "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))"
        } else {
            "s.sendall(b'backend\\n')"
        };
        let address = self.hosts.server_address();
        let body = format!(
            "
l = socket.create_server(('{address}', {PORT}))
print('ready', flush=True)
while True:
    s, _ = l.accept()
    s.recv(1)
    {ending}
    s.close()
"
        );
        self.hosts.serve("python3", &["-SEc", &script(&body)])
    }

    /// Dials, through the route, an endpoint at this address: what came of it, and how connect() ended.
    fn dial(&self, endpoint: Ipv4Addr) -> String {
        let mut mesh = Mesh::new();
        mesh.outbound("db", self.dialled).endpoint("db", "x", (endpoint, PORT).into());
        let (host, port) = (self.dialled.ip(), self.dialled.port());
        let body = format!(
            "
s = socket.socket()
try: s.connect(('{host}', {port}))
except OSError as e:
    print('connect', errno.errorcode[e.errno])
    sys.exit()
assert s.getpeername() == ('{host}', {port}), s.getpeername()
assert s.getsockname()[0] == '{}', s.getsockname()
s.sendall(b'x')
try: print('received', name(s))
except OSError as e: print('receive', errno.errorcode[e.errno])
",
            self.hosts.client_address()
        );
        let mut client = self.hosts.on_client(binary().to_str().unwrap());
        client.arg("exec").arg("--resources").arg(mesh.file());
        client.args(["--dataplane", "web", "--", "python3", "-SEc", &script(&body)]);
        stdout(&client.output().unwrap())
    }
}

#[test]
fn an_endpoint_on_another_host_is_reached() {
    let Some(setup) = Setup::new("an_endpoint_on_another_host_is_reached") else { return };
    let _server = setup.serve(false);
    assert_eq!(setup.dial(setup.hosts.server_address()), "received backend");
}

#[test]
fn a_host_that_refuses() {
    let Some(setup) = Setup::new("a_host_that_refuses") else { return };
    assert_eq!(setup.dial(setup.hosts.server_address()), "connect ECONNREFUSED");
}

#[test]
fn a_host_that_resets() {
    let Some(setup) = Setup::new("a_host_that_resets") else { return };
    let _server = setup.serve(true);
    assert_eq!(setup.dial(setup.hosts.server_address()), "receive ECONNRESET");
}

#[test]
fn a_host_that_a_router_says_is_unreachable() {
    let Some(setup) = Setup::new("a_host_that_a_router_says_is_unreachable") else { return };
    setup.hosts.route_on_server("unreachable", BEHIND);
    assert_eq!(setup.dial(Ipv4Addr::new(10, 78, 0, 1)), "connect EHOSTUNREACH");
}

#[test]
fn a_host_that_never_answers() {
    let Some(setup) = Setup::new("a_host_that_never_answers") else { return };
    setup.hosts.route_on_server("blackhole", BEHIND);
    // One SYN more: the kernel gives up after three seconds instead of two minutes.
    setup.hosts.set_on_client("tcp_syn_retries", 1);
    assert_eq!(setup.dial(Ipv4Addr::new(10, 78, 0, 1)), "connect ETIMEDOUT");
}
