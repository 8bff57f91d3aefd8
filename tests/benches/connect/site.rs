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
use tcproute_tests::{cgroup::TestCgroup, mesh::Mesh, tcproute::Daemon};

use crate::balancer::Balancer;

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
    /// What it dials.
    pub(crate) dials: SocketAddrV4,
}

/// Everything that runs while it is measured.
pub(crate) struct Site {
    // First, so that they are gone before the cgroups and the file.
    balancer: Balancer,
    _daemon: Daemon,
    _mesh: Mesh,
    plain: TestCgroup,
    routed: TestCgroup,
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
        let [plain, routed, peer] = [(); 3].map(|()| TestCgroup::create());
        let mut mesh = Mesh::new();
        mesh.outbound("backend", SERVICE.into()).split("backend", &[("1", 90), ("2", 10)]);
        for (version, address) in ["1", "2"].into_iter().zip(BACKENDS) {
            mesh.endpoint("backend", version, address.into());
        }
        let daemon = Daemon::start(&mesh.file(), &[("web", routed.path())]);
        let mut balancer = Balancer::load(SERVICE, &BACKENDS)?;
        balancer.attach("lb_connect4", &peer)?;
        Ok(Self { balancer, _daemon: daemon, _mesh: mesh, plain, routed, peer })
    }

    /// The first is what the others are compared with.
    pub(crate) fn contenders(&self) -> [Contender<'_>; 4] {
        let [routed, not_routed, peer] = self.with_programs();
        [Contender { name: "direct", cgroup: &self.plain, dials: BACKENDS[0] }, routed, not_routed, peer]
    }

    /// Those in whose cgroups programs run.
    pub(crate) fn with_programs(&self) -> [Contender<'_>; 3] {
        [
            Contender { name: "tcproute", cgroup: &self.routed, dials: SERVICE },
            Contender { name: "tcproute, not routed", cgroup: &self.routed, dials: OTHER },
            Contender { name: "LRU socket balancer", cgroup: &self.peer, dials: SERVICE },
        ]
    }

    /// Adds the empty program beside the others.
    pub(crate) fn attach_empty(&mut self) -> Result<()> {
        [&self.routed, &self.peer].into_iter().try_for_each(|cgroup| self.balancer.attach("lb_empty", cgroup))
    }
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
