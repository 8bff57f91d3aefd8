//! What Kuma's sidecar makes of a pod: a network namespace in which all outbound connections are redirected to a proxy.

mod catch_all;
mod envoy;
mod pod;
mod redirection;

pub use catch_all::CatchAll;
pub use envoy::{Envoy, Program, Protocol, Service, Stats};
pub use pod::Pod;
pub use redirection::{Backend, Families, Redirection, Version};

/// The user of an application.
pub const APPLICATION: u32 = 1000;

/// The user of the sidecar, whose connections are not redirected.
pub const SIDECAR: u32 = 5678;

/// Python for any user: the first one of the path may be in root's home.
pub const PYTHON: &str = "/usr/bin/python3";

/// Where the sidecar takes outbound connections.
pub const OUTBOUND: u16 = 15001;

/// Where it takes inbound ones, by IPv4 and by IPv6. Nothing listens there in tests.
const INBOUND: [u16; 2] = [15006, 15010];
