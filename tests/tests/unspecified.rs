//! A dialled 0.0.0.0 or `::` is loopback: it goes by the route of 127.0.0.1 or ::1, if there is one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;

use tcproute_tests::{
    Loopback,
    client::{script, stdout},
    is_root,
    mesh::Mesh,
    server::Server,
    tcproute::exec,
};

struct Routes {
    /// Listens where the routes begin: whoever goes past them ends here.
    past: [Server; 2],
    backends: [Server; 2],
    mesh: Mesh,
}

impl Routes {
    fn new() -> Self {
        let net = Loopback::claim();
        let past =
            ["127.0.0.1:0", "[::1]:0"].map(|at| Server::start(at.parse::<SocketAddr>().unwrap(), "past"));
        let backends = [
            Server::start((net.ip(1, 1), 0), "four"),
            Server::start("[::1]:0".parse::<SocketAddr>().unwrap(), "six"),
        ];
        let mut mesh = Mesh::new();
        for (service, dialled, backend) in [("four", &past[0], &backends[0]), ("six", &past[1], &backends[1])]
        {
            mesh.outbound(service, dialled.address()).endpoint(service, "x", backend.address());
        }
        Self { past, backends, mesh }
    }

    fn python(&self, body: &str) -> String {
        let [four, six] = [0, 1].map(|which: usize| self.past[which].address().port());
        let head = format!(
            "
FOUR, SIX = {four}, {six}
def go(host, port, bind=None):
    s = socket.socket(family(host)); s.settimeout(10)
    try:
        if bind: s.bind((bind, 0))
        s.connect((host, port)); return name(s), s.getpeername()[0]
    except OSError as e: return errno.errorcode[e.errno]
"
        );
        stdout(&exec(&self.mesh.file(), "web", &["python3", "-SEc", &script(&(head + body))]))
    }
}

#[test]
fn unspecified_addresses_go_by_the_routes_of_loopback() {
    if !is_root("unspecified_addresses_go_by_the_routes_of_loopback") {
        return;
    }
    let routes = Routes::new();
    assert_ne!(routes.backends[1].address(), routes.past[1].address());
    let out = routes.python(
        "
print(*go('127.0.0.1', FOUR))
print(*go('0.0.0.0', FOUR))
print(*go('::ffff:0.0.0.0', FOUR))
print(*go('0.0.0.0', FOUR, '127.0.0.1'))
print(*go('::', SIX))
print(*go('::', SIX, '::1'))
",
    );
    let expected =
        ["four 127.0.0.1", "four 127.0.0.1", "four ::ffff:127.0.0.1", "four 127.0.0.1", "six ::1", "six ::1"];
    assert_eq!(out, expected.join("\n"));
}

/// As without tcproute: there is no route, and nobody listens.
#[test]
fn unspecified_addresses_without_a_route_go_where_the_kernel_takes_them() {
    if !is_root("unspecified_addresses_without_a_route_go_where_the_kernel_takes_them") {
        return;
    }
    let routes = Routes::new();
    let net = Loopback::claim();
    let own = net.ip(3, 3);
    // The kernel takes 0.0.0.0 for the address that the socket has.
    let _own = Server::start((own, routes.past[0].address().port()), "own");
    let out = routes.python(&format!(
        "
print(go('::', FOUR))
print(go('0.0.0.0', SIX))
print(*go('0.0.0.0', FOUR, '{own}'))
"
    ));
    assert_eq!(out, format!("ECONNREFUSED\nECONNREFUSED\nown {own}"));
}

#[test]
fn curl_to_an_unspecified_address_is_routed() {
    if !is_root("curl_to_an_unspecified_address_is_routed") {
        return;
    }
    let routes = Routes::new();
    for (which, host) in [(0_usize, "0.0.0.0"), (1, "[::]")] {
        let url = format!("http://{host}:{}/", routes.past[which].address().port());
        let arguments = ["curl", "-sS", "--http0.9", "--noproxy", "*", "-m", "10", &url];
        let out = stdout(&exec(&routes.mesh.file(), "web", &arguments));
        assert_eq!(out, ["four", "six"][which]);
    }
}
