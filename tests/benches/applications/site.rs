//! Where an application is: a network of its own with two servers, and cgroups for those and for the clients of each
//! contender. All contenders have the same servers, so that no difference is theirs.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use tcproute_tests::{bench::contenders::Way, cgroup::TestCgroup, namespace::Namespace};

/// Of the servers, in percent.
pub(crate) const WEIGHTS: [u32; 2] = [90, 10];

/// The kernel drops connection requests beyond it.
const BACKLOG: u32 = 65535;

/// How long any client may take.
const PATIENCE: Duration = Duration::from_mins(3);

/// One, for one application.
pub(crate) struct Site {
    /// The first has the greater weight.
    pub(crate) backends: [SocketAddrV4; 2],
    pub(crate) namespace: Namespace,
    directory: tempfile::TempDir,
    servers: TestCgroup,
    all: TestCgroup,
}

/// Clients of a contender.
pub(crate) struct Client<'a> {
    pub(crate) site: &'a Site,
    /// What they dial.
    pub(crate) dials: SocketAddrV4,
    cgroup: &'a TestCgroup,
}

/// Where a contender is in a site.
pub(crate) struct Ground {
    /// What its clients dial, if it leads them.
    pub(crate) service: SocketAddrV4,
    client: TestCgroup,
    proxy: TestCgroup,
}

impl Site {
    /// Without servers as yet, which listen at a port.
    pub(crate) fn build(port: u16) -> Result<Self> {
        let namespace = Namespace::new().map_err(|why| anyhow!(why))?;
        namespace.ip("link set lo up").map_err(|why| anyhow!(why))?;
        // Kafka's client resolves no address where there is none but loopback.
        for arguments in [
            "link add eth0 type veth peer name eth1",
            "address add 192.0.2.1/24 dev eth0",
            "link set eth0 up",
        ] {
            namespace.ip(arguments).map_err(|why| anyhow!(why))?;
        }
        // The congestion control of the machine may be one that caps a stream on loopback.
        namespace.set("ipv4/tcp_congestion_control", "reno");
        namespace.set("core/somaxconn", BACKLOG);
        // Clients that close first leave a port behind each time.
        namespace.set("ipv4/ip_local_port_range", "10000 65535");
        namespace.set("ipv4/tcp_tw_reuse", 1);
        let directory = tempfile::tempdir().context("cannot make a directory")?;
        let all = TestCgroup::create();
        let servers = all.child("servers");
        let backends = [1, 2].map(|last| SocketAddrV4::new(Ipv4Addr::new(127, 43, 1, last), port));
        Ok(Self { backends, namespace, directory, servers, all })
    }

    /// Where files may lie as long as this does.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A server, which ends with this process.
    pub(crate) fn server(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.namespace.command_in(&self.servers, "setpriv");
        command.args(["--pdeathsig", "TERM"]).arg(program);
        command
    }

    /// The place of a contender.
    pub(crate) fn ground(&self, number: u8, name: &str) -> Ground {
        let [client, proxy] = ["client", "proxy"].map(|what| self.all.child(&format!("{what}-{name}")));
        let service = SocketAddrV4::new(Ipv4Addr::new(127, 43, 0, number), self.backends[0].port());
        Ground { service, client, proxy }
    }

    /// What a program prints that runs in this network, and is none of the clients.
    pub(crate) fn ask(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Result<String> {
        let mut command = self.namespace.command("timeout");
        command.arg(PATIENCE.as_secs().to_string()).arg(program.as_ref()).args(arguments);
        output(&mut command)
    }
}

impl Ground {
    /// To the servers of its site.
    pub(crate) fn way<'a>(&'a self, site: &'a Site) -> Way<'a> {
        let ([first, second], [more, less]) = (site.backends, WEIGHTS);
        Way {
            namespace: &site.namespace,
            workload: &self.client,
            proxy: &self.proxy,
            service: self.service,
            backends: [(first, more), (second, less)],
        }
    }

    /// Clients in it.
    pub(crate) const fn client<'a>(&'a self, site: &'a Site, dials: SocketAddrV4) -> Client<'a> {
        Client { site, dials, cgroup: &self.client }
    }
}

impl Client<'_> {
    /// A program that is one.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.site.namespace.command_in(self.cgroup, "timeout");
        command.arg("--kill-after=5").arg(PATIENCE.as_secs().to_string()).arg(program);
        command
    }

    /// What getpeername() answers of a connection of theirs.
    pub(crate) fn peer(&self) -> Result<SocketAddrV4> {
        let mut python = self.command("python3");
        python.args(["-c", PEER, &self.dials.ip().to_string(), &self.dials.port().to_string()]);
        let peer = output(&mut python)?;
        peer.trim().parse().with_context(|| format!("{peer:?} is no address"))
    }
}

/// What Python finds at the other end of a connection.
const PEER: &str = "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); \
                    print('%s:%d' % s.getpeername())";

/// What a command prints. If it fails, what it says at last is the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().context("cannot start sh")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim().lines().next_back().unwrap_or("it says nothing");
    ensure!(output.status.success(), "{}: {last}", output.status);
    String::from_utf8(output.stdout).context("what it prints is not UTF-8")
}
