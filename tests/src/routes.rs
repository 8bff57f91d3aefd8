//! Routes of the Dataplane `web`, with the servers they lead to.

use std::net::SocketAddr;

use crate::{Loopback, mesh::Mesh, server::Server};

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
