//! A pod and its node: two network namespaces joined by a pair of veth devices.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU8, Ordering},
};

use super::PYTHON;
use crate::{
    cgroup::TestCgroup,
    client::{script, stdout},
    namespace::Namespace,
    process::Process,
    server::Server,
};

/// All that the pod does not have itself is looked for at the node, where servers run. The network of the machine has
/// no part in it.
pub struct Pod {
    pod: Namespace,
    node: Namespace,
    net: u8,
}

impl Pod {
    /// A pod of a test's own. If there cannot be one, says why the test is skipped.
    pub fn of(test: &str) -> Option<Self> {
        Self::new().inspect_err(|error| println!("SKIPPED {test}: no network of a pod: {error}")).ok()
    }

    /// A new one; if there cannot be any, says why.
    pub fn new() -> Result<Self, String> {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let net = NEXT.fetch_add(1, Ordering::Relaxed);
        let this = Self { pod: Namespace::new()?, node: Namespace::new()?, net };
        this.pod.join(&this.node)?;
        for (namespace, v4, v6) in [
            (&this.pod, this.address(), this.address_v6()),
            (&this.node, this.node_address(), this.node_address_v6()),
        ] {
            namespace.ip(&format!("addr add {v4}/24 dev eth0"))?;
            // Without a search for duplicates an address can be used at once.
            namespace.ip(&format!("addr add {v6}/64 dev eth0 nodad"))?;
            namespace.ip("link set eth0 up")?;
            namespace.ip("link set lo up")?;
        }
        this.pod.ip(&format!("route add default via {}", this.node_address()))?;
        this.pod.ip(&format!("route add default via {}", this.node_address_v6()))?;
        // A router says that what it does not know is unreachable; else nobody would answer.
        this.node.set("ipv4/ip_forward", 1);
        this.node.set("ipv6/conf/all/forwarding", 1);
        Ok(this)
    }

    /// The pod's address.
    pub const fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.net, 1)
    }

    /// Its other address.
    pub const fn address_v6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0x77, self.net as u16, 0, 0, 0, 0, 1)
    }

    /// The node's address.
    pub const fn node_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.net, 2)
    }

    /// Its other address.
    pub const fn node_address_v6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0x77, self.net as u16, 0, 0, 0, 0, 2)
    }

    /// The file that stands for the pod's namespace.
    pub fn namespace(&self) -> PathBuf {
        self.pod.file()
    }

    /// A command that will run in the pod as this user, and in the cgroup if one is given.
    pub fn command(&self, cgroup: Option<&TestCgroup>, uid: u32, program: &str) -> Command {
        let enter = |program| match cgroup {
            Some(cgroup) => self.pod.command_in(cgroup, program),
            None => self.pod.command(program),
        };
        if uid == 0 {
            return enter(program);
        }
        // Last, since only root may enter. By its path: the shell of a guest would run its own.
        let mut command = enter("/usr/bin/setpriv");
        let uid = uid.to_string();
        command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", program]);
        command
    }

    /// A command that will run on the node, as root.
    pub fn on_node(&self, program: &str) -> Command {
        self.node.command(program)
    }

    /// The namespaces of the pod and of the node.
    pub const fn namespaces(&self) -> [&Namespace; 2] {
        [&self.pod, &self.node]
    }

    /// See [`Namespace::pause`].
    pub fn pause(&self, cgroup: &TestCgroup) -> Process {
        self.pod.pause(cgroup)
    }

    /// A server on the node, at any address: the node gets it if it does not have it.
    pub fn serve(&self, address: SocketAddr, name: &str) -> Server {
        self.add_to_node(address.ip());
        Server::start_on(self.node.listen(address), name)
    }

    /// A socket on the node that listens by IPv4 at all that the node has. It gets these addresses, too.
    pub fn listen(&self, port: u16, addresses: &[IpAddr]) -> TcpListener {
        for &address in addresses {
            self.add_to_node(address);
        }
        self.node.listen((Ipv4Addr::UNSPECIFIED, port).into())
    }

    fn add_to_node(&self, host: IpAddr) {
        if ![IpAddr::from(self.node_address()), self.node_address_v6().into()].contains(&host) {
            let length = if host.is_ipv4() { 32 } else { 128 };
            let add = format!("addr replace {host}/{length} dev lo nodad");
            self.node.ip(&add).expect("an address can be added");
        }
    }

    /// A server on the node that speaks HTTP, at an address of the node.
    pub fn serve_http(&self, address: SocketAddr, name: &str) -> Server {
        Server::start_http_on(self.node.listen(address), name)
    }

    /// A server in the pod.
    pub fn serve_inside(&self, address: SocketAddr, name: &str) -> Server {
        Server::start_on(self.pod.listen(address), name)
    }

    /// Who answers this user of the pod at each address, or else the name of the error.
    pub fn ask(&self, cgroup: Option<&TestCgroup>, uid: u32, dialled: &[SocketAddr]) -> Vec<String> {
        let asking = |to: &SocketAddr| format!("print(answer('{}', {}))", to.ip(), to.port());
        let body = dialled.iter().map(asking).collect::<Vec<_>>().join("\n");
        let mut client = self.command(cgroup, uid, PYTHON);
        let output = client.args(["-SEc", &script(&body)]).output().expect("python3 can be started");
        stdout(&output).lines().map(str::to_owned).collect()
    }
}
