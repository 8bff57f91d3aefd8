//! What the contenders need: namespaces, a listener, cgroups, a running tcproute and the other balancer.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    os::fd::AsRawFd,
    process::Command,
    thread,
};

use anyhow::{Context, Result, ensure};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrIn, bind, listen, socket,
    },
};
use tcproute_tests::{
    bench::balancer::Balancer,
    cgroup::TestCgroup,
    mesh::Mesh,
    sidecar::Pod,
    tcproute::{Daemon, binary},
};

use crate::pods::Pods;

const PORT: u16 = 8080;
const BACKENDS: [SocketAddrV4; 2] = [backend(1), backend(2)];
/// A backend that no route leads to.
const OTHER: SocketAddrV4 = backend(3);
/// Nobody listens on this port: who gets through has been redirected.
const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 43, 0, 20), 3001);
/// The kernel drops connection requests beyond it.
const BACKLOG: &str = "65535";

const fn backend(last: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, last), PORT)
}

/// One way to connect.
pub(crate) struct Contender<'a> {
    /// As the table calls it.
    pub(crate) name: &'static str,
    /// Where the client runs.
    pub(crate) cgroup: &'a TestCgroup,
    /// In whose network; if there is none, in that of the benchmark.
    pub(crate) pod: Option<&'a Pod>,
    /// What it dials.
    pub(crate) dials: SocketAddrV4,
}

impl Contender<'_> {
    /// A command that will run there, as root.
    pub(crate) fn command(&self, program: &str) -> Command {
        match self.pod {
            Some(pod) => pod.command(Some(self.cgroup), 0, program),
            None => self.cgroup.command(program),
        }
    }
}

/// Everything that runs while it is measured.
pub(crate) struct Site {
    // First, so that they are gone before the cgroups and the file.
    balancer: Balancer,
    _daemons: [Daemon; 2],
    _mesh: Mesh,
    plain: TestCgroup,
    routed: TestCgroup,
    off: TestCgroup,
    peer: TestCgroup,
}

/// Leaves the network and the mounts of the machine. To be done before there are threads.
pub(crate) fn enter_namespaces() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("cannot make namespaces")?;
    // What is mounted from here on vanishes with this process.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("cannot make the mounts private")?;
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()
        .context("cannot start ip: install iproute2")?;
    ensure!(status.success(), "`ip link set lo up` failed ({status})");
    for (name, value) in [("net/ipv4/tcp_congestion_control", "reno"), ("net/core/somaxconn", BACKLOG)] {
        fs::write(format!("/proc/sys/{name}"), value).with_context(|| format!("cannot set {name}"))?;
    }
    Ok(())
}

impl Site {
    /// Starts it all.
    pub(crate) fn build() -> Result<Self> {
        serve()?;
        let [plain, routed, off, peer] = [(); 4].map(|()| TestCgroup::create());
        let mut mesh = Mesh::new();
        mesh.outbound("backend", SERVICE.into()).split("backend", &[("1", 90), ("2", 10)]);
        for (version, address) in ["1", "2"].into_iter().zip(BACKENDS) {
            mesh.endpoint("backend", version, address.into());
        }
        let daemons = [("auto", &routed), ("off", &off)].map(|(sidecar, cgroup)| {
            let workloads = [("web", cgroup.path())];
            let sidecar = ["--sidecar", sidecar];
            Daemon::start_with(&mut Command::new(binary()), &mesh.file(), &workloads, &sidecar)
        });
        let mut balancer = Balancer::load(SERVICE, &BACKENDS)?;
        balancer.attach("lb_connect4", &peer)?;
        Ok(Self { balancer, _daemons: daemons, _mesh: mesh, plain, routed, off, peer })
    }

    /// The first is what the others are compared with.
    pub(crate) fn contenders(&self) -> Vec<Contender<'_>> {
        let [routed, not_routed, peer, ..] = self.with_programs();
        vec![contender("direct", &self.plain, BACKENDS[0]), routed, not_routed, peer]
    }

    /// Those in whose cgroups programs run.
    pub(crate) fn with_programs(&self) -> [Contender<'_>; 5] {
        [
            contender("tcproute", &self.routed, SERVICE),
            contender("tcproute, not routed", &self.routed, OTHER),
            contender("LRU socket balancer", &self.peer, SERVICE),
            contender("tcproute --sidecar off", &self.off, SERVICE),
            contender("the same, not routed", &self.off, OTHER),
        ]
    }

    /// Adds the empty program beside the others.
    pub(crate) fn attach_empty(&mut self, pods: Option<&Pods>) -> Result<()> {
        for cgroup in [&self.routed, &self.off, &self.peer] {
            self.balancer.attach("lb_empty", cgroup)?;
        }
        pods.map_or(Ok(()), |pods| pods.attach_empty(&mut self.balancer))
    }
}

const fn contender<'a>(name: &'static str, cgroup: &'a TestCgroup, dials: SocketAddrV4) -> Contender<'a> {
    Contender { name, cgroup, pod: None, dials }
}

/// One listener for all backends, so that every contender wakes the same thread. It ends with the process.
fn serve() -> Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?;
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT);
    bind(socket.as_raw_fd(), &SockaddrIn::from(any)).with_context(|| format!("cannot bind {any}"))?;
    listen(&socket, Backlog::MAXALLOWABLE).with_context(|| format!("cannot listen on {any}"))?;
    let listener = TcpListener::from(socket);
    thread::spawn(move || listener.incoming().for_each(drop));
    Ok(())
}
