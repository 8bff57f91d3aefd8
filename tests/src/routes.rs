//! Routes of the Dataplane `web`, with the servers they lead to.

use std::net::SocketAddr;

use crate::{
    Loopback,
    cgroup::TestCgroup,
    client::{script, stdout},
    mesh::Mesh,
    server::Server,
};

/// One route to one server.
pub struct OneBackend {
    /// Where clients connect to.
    pub dialled: SocketAddr,
    /// Answers with `backend`.
    pub backend: Server,
    /// The service is `db`, the version of the endpoint `x`.
    pub mesh: Mesh,
}

impl OneBackend {
    /// Among these addresses.
    pub fn new(net: Loopback) -> Self {
        Self::between((net.ip(0, 1), 5432).into(), (net.ip(1, 1), 0).into())
    }

    /// From what is dialled to where the server listens.
    pub fn between(dialled: SocketAddr, listens: SocketAddr) -> Self {
        let backend = Server::start(listens, "backend");
        let mut mesh = Mesh::new();
        mesh.outbound("db", dialled).endpoint("db", "x", backend.address());
        Self { dialled, backend, mesh }
    }
}

/// Three servers, and the mesh that splits between them.
pub struct Split {
    /// Where clients connect to.
    pub dialled: SocketAddr,
    /// `v1`, `v2` and `v3`.
    pub servers: Vec<Server>,
}

impl Default for Split {
    fn default() -> Self {
        Self::new()
    }
}

impl Split {
    /// With addresses of their own.
    pub fn new() -> Self {
        let net = Loopback::claim();
        let server = |(last, name)| Server::start((net.ip(1, last), 0), name);
        let servers = (1_u8..).zip(["v1", "v2", "v3"]).map(server).collect();
        Self { dialled: (net.ip(0, 1), 5432).into(), servers }
    }

    /// With these weights of the versions `1`, `2` and `3`.
    pub fn mesh(&self, weights: &[(&str, u32)]) -> Mesh {
        let mut mesh = Mesh::new();
        mesh.outbound("db", self.dialled).split("db", weights);
        for (version, server) in ["1", "2", "3"].into_iter().zip(&self.servers) {
            mesh.endpoint("db", version, server.address());
        }
        mesh
    }
}

/// A workload that dials what answers, what is closed, and what has no endpoint.
pub struct ThreeEnds {
    /// Leads to `backend`, by a MeshTCPRoute.
    pub up: SocketAddr,
    /// Leads to a port that nobody listens on.
    pub closed: SocketAddr,
    /// Has no endpoint.
    pub nobody: SocketAddr,
    /// Answers with `backend`.
    pub backend: Server,
    /// Of the workload.
    pub cgroup: TestCgroup,
    /// The services are called as the addresses are here.
    pub mesh: Mesh,
}

impl ThreeEnds {
    /// Among these addresses.
    pub fn new(net: Loopback) -> Self {
        let [up, closed, nobody] = [1, 2, 3].map(|last| SocketAddr::from((net.ip(0, last), 5432)));
        let backend = Server::start((net.ip(1, 1), 0), "backend");
        let mut mesh = Mesh::new();
        mesh.outbound("up", up).split("up", &[("x", 1)]).endpoint("up", "x", backend.address());
        mesh.outbound("closed", closed).endpoint("closed", "x", (net.ip(1, 2), 1).into());
        mesh.outbound("nobody", nobody);
        Self { up, closed, nobody, backend, cgroup: TestCgroup::create(), mesh }
    }

    /// Dials each of them once; the pid of who has.
    pub fn dial(&self, addresses: &[SocketAddr]) -> u32 {
        let dial = |address: &SocketAddr| {
            let (ip, port) = (address.ip(), address.port());
            format!("\ntry: dial('{ip}', {port}).close()\nexcept OSError: pass\n")
        };
        let body: String = addresses.iter().map(dial).collect();
        self.python(&(body + "print(os.getpid())")).trim().parse().expect("a pid")
    }

    /// What a client of the workload prints.
    pub fn python(&self, body: &str) -> String {
        let mut python = self.cgroup.command("python3");
        stdout(&python.args(["-SEc", &script(body)]).output().expect("python3 can be started"))
    }
}
