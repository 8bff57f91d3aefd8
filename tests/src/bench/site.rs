//! Where a contender is: a network of its own with backends of its own, and cgroups by which its work is counted.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::{
    contenders::Way,
    load::{self, Work},
    server,
};
use crate::{cgroup::TestCgroup, namespace::Namespace, process::Process, sidecar::Pod};

/// Of the backends, in percent.
pub const WEIGHTS: [u32; 2] = [90, 10];

const BACKEND: u16 = 8080;

/// The kernel drops connection requests beyond it.
const BACKLOG: u32 = 65535;

/// What kind of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// All on the loopback device of one namespace.
    Loopback,
    /// Clients in a pod, backends on its node.
    Pod,
}

enum Network {
    Loopback(Namespace),
    Pod(Pod),
}

/// One, with its backends at work.
pub struct Site {
    // First, so that it ends before its cgroup goes.
    _server: Process,
    network: Network,
    /// What clients dial. Nobody listens there but a proxy.
    pub service: SocketAddrV4,
    /// The first has the greater weight.
    pub backends: [SocketAddrV4; 2],
    client: TestCgroup,
    _servers: TestCgroup,
    /// Where whatever routes runs, if it is a process.
    pub proxy: TestCgroup,
    all: TestCgroup,
}

impl Place {
    /// Of a backend the last number is its digit ([`super::protocol`]).
    const fn address(self, third: u8, last: u8) -> Ipv4Addr {
        match self {
            Self::Loopback => Ipv4Addr::new(127, 43, third, last),
            Self::Pod => Ipv4Addr::new(10, 43, third, last),
        }
    }
}

impl Site {
    /// With nothing between clients and backends.
    pub fn build(place: Place) -> Result<Self> {
        let backends = [1, 2].map(|last| SocketAddrV4::new(place.address(1, last), BACKEND));
        let (network, listener) = match place {
            Place::Loopback => {
                let namespace = Namespace::new().map_err(|why| anyhow!(why))?;
                namespace.ip("link set lo up").map_err(|why| anyhow!(why))?;
                prepare(&namespace);
                let listener = namespace.listen((Ipv4Addr::UNSPECIFIED, BACKEND).into());
                (Network::Loopback(namespace), listener)
            }
            Place::Pod => {
                let pod = Pod::new().map_err(|why| anyhow!("no network of a pod: {why}"))?;
                pod.namespaces().into_iter().for_each(prepare);
                let listener = pod.listen(BACKEND, &backends.map(|address| (*address.ip()).into()));
                (Network::Pod(pod), listener)
            }
        };
        let all = TestCgroup::create();
        let [client, servers, proxy] = ["client", "server", "proxy"].map(|name| all.child(name));
        let server = Process(server::start(servers.command(&this_program()?), listener)?);
        let service = SocketAddrV4::new(place.address(0, 20), 3001);
        Ok(Self { _server: server, network, service, backends, client, _servers: servers, proxy, all })
    }

    /// Of client, servers and proxy.
    pub fn cgroup(&self) -> &Path {
        self.all.path()
    }

    /// Where clients run, in whose network connections are routed.
    pub const fn workload(&self) -> &TestCgroup {
        &self.client
    }

    /// The namespace of the clients.
    pub const fn namespace(&self) -> &Namespace {
        match &self.network {
            Network::Loopback(namespace) => namespace,
            Network::Pod(pod) => pod.namespaces()[0],
        }
    }

    /// From clients to backends.
    pub fn way(&self) -> Way<'_> {
        let ([first, second], [more, less]) = (self.backends, WEIGHTS);
        Way {
            namespace: self.namespace(),
            workload: &self.client,
            proxy: &self.proxy,
            service: self.service,
            backends: [(first, more), (second, less)],
        }
    }

    /// What only a pod has.
    pub fn pod(&self) -> Result<&Pod> {
        match &self.network {
            Network::Pod(pod) => Ok(pod),
            Network::Loopback(_) => Err(anyhow!("this network has no pod")),
        }
    }

    /// This program as a client.
    pub fn client(&self) -> Result<Command> {
        Ok(self.namespace().command_in(&self.client, &this_program()?))
    }

    /// Runs a program to its end in the network of the clients.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let output = self.namespace().command(program).args(arguments).output();
        let output = output.with_context(|| format!("cannot start {program}"))?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program}: {}", told.trim().replace('\n', "; "));
        Ok(())
    }

    /// Whether anybody takes connections to what clients dial.
    pub fn is_answered(&self) -> Result<bool> {
        load::order(self, self.service, Work::Knock)
    }
}

/// The congestion control of the machine may be one that caps a stream on loopback.
fn prepare(namespace: &Namespace) {
    namespace.set("ipv4/tcp_congestion_control", "reno");
    namespace.set("core/somaxconn", BACKLOG);
}

/// The path of this program.
fn this_program() -> Result<String> {
    let program = std::env::current_exe().context("this program has no path")?;
    program.into_os_string().into_string().ok().context("the path of this program is not UTF-8")
}
