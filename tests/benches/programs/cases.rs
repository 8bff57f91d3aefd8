//! The kinds of connections that cost differently, and what they need: cgroups, daemons and a listener.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result};
use tcproute_tests::{
    Loopback,
    bench::{
        accounting::{EMPTY, Programs, Size},
        balancer::Balancer,
    },
    cgroup::TestCgroup,
    mesh::Mesh,
    process::Process,
    tcproute::{Daemon, binary},
};

/// The user of Kuma's sidecar.
const SIDECAR: u32 = 5678;

/// One kind of connections.
pub(crate) struct Case<'a> {
    /// As the tables call it.
    pub(crate) name: &'static str,
    /// Where the client runs.
    pub(crate) cgroup: &'a TestCgroup,
    /// As whom.
    pub(crate) user: u32,
    /// What it dials.
    pub(crate) dials: SocketAddr,
}

/// How the workload of a daemon is routed.
struct Workload {
    cgroup: TestCgroup,
    // Stopped before the cgroup goes.
    daemon: Daemon,
}

/// Everything that runs while it is measured.
pub(crate) struct Site {
    _balancer: Balancer,
    _trace: Process,
    random: Workload,
    even: Workload,
    off: Workload,
    traced: Workload,
    _mesh: Mesh,
    one: SocketAddr,
    split: SocketAddr,
    v6: SocketAddr,
    unrouted: SocketAddr,
}

impl Site {
    /// Starts it all.
    pub(crate) fn build() -> Result<Self> {
        let net = Loopback::claim();
        // Also what is dialled: the connections of a sidecar go there.
        let port = serve("0.0.0.0:0".parse()?)?;
        let port6 = serve("[::1]:0".parse()?)?;
        let [one, split] = [1, 2].map(|last| SocketAddr::from((net.ip(0, last), port)));
        let v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 3001));
        let mut mesh = Mesh::new();
        mesh.outbound("one", one).split("one", &[("1", 1)]);
        mesh.outbound("split", split).split("split", &[("1", 90), ("2", 10)]);
        mesh.outbound("six", v6).split("six", &[("1", 90), ("2", 10)]);
        for (version, of) in [("1", 1), ("2", 2)] {
            mesh.endpoint("one", version, (net.ip(of, 1), port).into());
            mesh.endpoint("six", version, (std::net::Ipv6Addr::LOCALHOST, port6).into());
            for last in 1..=4 {
                mesh.endpoint("split", version, (net.ip(of, last), port).into());
            }
        }
        let start = |arguments: &[&str]| {
            let cgroup = TestCgroup::create();
            let workloads = [("web", cgroup.path())];
            let mut command = Command::new(binary());
            let daemon = Daemon::start_with(&mut command, &mesh.file(), &workloads, arguments);
            Workload { cgroup, daemon }
        };
        let random = start(&[]);
        let even = start(&["--selection", "even"]);
        let off = start(&["--sidecar", "off"]);
        let traced = start(&["--sidecar", "off"]);
        let mut trace = Command::new(binary());
        trace.arg("trace").arg("--admin-socket").arg(traced.daemon.admin_socket());
        let trace = trace.stdout(Stdio::null()).spawn().context("cannot start tcproute trace")?;
        let trace = Process(trace);
        // Of no service: all that is taken of it is the program that does nothing.
        let mut balancer = Balancer::load(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), &[])?;
        for workload in [&random, &even, &off, &traced] {
            balancer.attach(EMPTY, &workload.cgroup)?;
        }
        let unrouted = (net.ip(3, 1), port).into();
        Ok(Self {
            _balancer: balancer,
            _trace: trace,
            random,
            even,
            off,
            traced,
            _mesh: mesh,
            one,
            split,
            v6,
            unrouted,
        })
    }

    /// All of them. The first one's programs are compared with nothing else.
    pub(crate) fn cases(&self) -> [Case<'_>; 8] {
        const ROOT: u32 = 0;
        let Self { random, even, off, traced, .. } = self;
        [
            case("no route", off, ROOT, self.unrouted),
            case("the sidecar's own", off, SIDECAR, self.split),
            case("one backendRef", off, ROOT, self.one),
            case("routed", off, ROOT, self.split),
            case("routed, by IPv6", off, ROOT, self.v6),
            case("routed, namespaces asked", random, ROOT, self.split),
            case("routed, in turns", even, ROOT, self.split),
            case("routed, with events", traced, ROOT, self.split),
        ]
    }

    /// Those of the programs of a workload.
    pub(crate) fn sizes(&self) -> Result<BTreeMap<String, Size>> {
        Ok(Programs::of(&self.off.cgroup)?.sizes())
    }
}

const fn case<'a>(name: &'static str, workload: &'a Workload, user: u32, dials: SocketAddr) -> Case<'a> {
    Case { name, cgroup: &workload.cgroup, user, dials }
}

/// A listener that ends with the process, and its port.
fn serve(address: SocketAddr) -> Result<u16> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || listener.incoming().for_each(drop));
    Ok(port)
}
