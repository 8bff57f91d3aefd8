//! Control planes for tests of a client that polls one by REST: one of ours, which fails as it is told, and a real one.
//!
//! ```no_run
//! use tcproute_tests::control_plane::{Fault, Options, Server, Version};
//!
//! let server = Server::start(Options::of(Version::V2_4));
//! server.put_yaml("{type: Dataplane, name: web-1, networking: {address: 10.0.0.1}}");
//! server.fault("/dataplanes", Fault::status(503), Some(2));
//! println!("{}", server.url());
//! ```
//!
//! Ours does not validate resources. What controllers add (VIPs, hostnames, the status of a MeshService) and what 2.14
//! has from the beginning besides a mesh and a zone (timeouts, retries, hostname generators) is there only if a test
//! puts it.

pub mod answer;
pub mod authority;
mod body;
mod client;
mod document;
mod errors;
mod fault;
mod list;
mod options;
mod port;
mod real;
mod request;
mod resource;
mod serve;
mod server;
mod state;
pub mod store;
mod tls;
mod version;
mod write;

#[cfg(test)]
mod tests;

pub use self::{
    authority::{Authority, Files, Identity},
    fault::Fault,
    options::Options,
    real::Real,
    request::Request,
    server::Server,
    tls::{Clients, Tls},
    version::{Kind, Version},
};

/// What the one of ours and a real one have in common, so that the same test runs against both.
pub trait ControlPlane {
    /// Where it is.
    fn url(&self) -> String;

    /// Puts all documents of a text there. Those without a mesh are of `default`.
    fn put_yaml(&self, documents: &str);

    /// Takes a resource away, which must be there. `mesh` says nothing for kinds that are within none.
    fn delete(&self, kind: &str, mesh: &str, name: &str);
}
