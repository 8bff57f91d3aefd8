//! Two hosts joined by a cable: network namespaces and a pair of veth devices.

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
};

use crate::{cgroup::TestCgroup, namespace::Namespace, process::Process};

/// A client and a server. The server is the client's router as well, so that what it does with packets for others
/// is what a network would do.
pub struct Hosts {
    client: Namespace,
    server: Namespace,
    net: u8,
}

impl Hosts {
    /// Hosts of a test's own. If there cannot be any, says why the test is skipped.
    pub fn of(test: &str) -> Option<Self> {
        Self::new().inspect_err(|error| println!("SKIPPED {test}: no network of two hosts: {error}")).ok()
    }

    fn new() -> Result<Self, String> {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let net = NEXT.fetch_add(1, Ordering::Relaxed);
        let hosts = Self { client: Namespace::new()?, server: Namespace::new()?, net };
        hosts.client.join(&hosts.server)?;
        for (host, address) in
            [(&hosts.client, hosts.client_address()), (&hosts.server, hosts.server_address())]
        {
            host.ip(&format!("addr add {address}/24 dev eth0"))?;
            host.ip("link set eth0 up")?;
            host.ip("link set lo up")?;
        }
        hosts.client.ip(&format!("route add default via {}", hosts.server_address()))?;
        hosts.set_on_server("ip_forward", 1);
        Ok(hosts)
    }

    /// The client's address.
    pub const fn client_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.net, 1)
    }

    /// The server's address.
    pub const fn server_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.net, 2)
    }

    /// What the server does with packets for a network: `blackhole` or `unreachable`.
    pub fn route_on_server(&self, kind: &str, network: &str) {
        self.server.ip(&format!("route add {kind} {network}")).expect("a route can be added");
    }

    /// Sets `net.ipv4.name` of the server.
    pub fn set_on_server(&self, name: &str, value: u32) {
        self.server.set(&format!("ipv4/{name}"), value);
    }

    /// Sets `net.ipv4.name` of the client.
    pub fn set_on_client(&self, name: &str, value: u32) {
        self.client.set(&format!("ipv4/{name}"), value);
    }

    /// A command that will run on the client.
    pub fn on_client(&self, program: &str) -> Command {
        self.client.command(program)
    }

    /// A command that will run on the server.
    pub fn on_server(&self, program: &str) -> Command {
        self.server.command(program)
    }

    /// A socket of the server that listens at this address.
    pub fn listen_on_server(&self, address: SocketAddr) -> TcpListener {
        self.server.listen(address)
    }

    /// As [`Self::on_client`], in a cgroup.
    pub fn on_client_in(&self, cgroup: &TestCgroup, program: &str) -> Command {
        self.client.command_in(cgroup, program)
    }

    /// Runs a program on the server until the answer is dropped. It must print a line once it is ready.
    pub fn serve(&self, program: &str, arguments: &[&str]) -> Process {
        let mut command = self.server.command(program);
        let child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("the server can be started");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it prints a line");
        assert!(!line.is_empty(), "the server does not start");
        Process(child)
    }
}
