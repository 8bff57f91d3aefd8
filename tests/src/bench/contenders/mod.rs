//! What leads clients to two backends in some benchmarks: a file for each.

pub mod direct;
pub mod envoy;
pub mod haproxy;
pub mod tcproute;

use std::{any::Any, net::SocketAddrV4};

use crate::{cgroup::TestCgroup, namespace::Namespace};

/// From where to where clients are to be led.
pub struct Way<'a> {
    /// Of clients, and of whatever leads them.
    pub namespace: &'a Namespace,
    /// In which clients are.
    pub workload: &'a TestCgroup,
    /// In which whatever leads them is, if it is a process.
    pub proxy: &'a TestCgroup,
    /// What clients dial. Nobody listens there but a proxy.
    pub service: SocketAddrV4,
    /// With their weights.
    pub backends: [(SocketAddrV4, u32); 2],
}

/// What is there as long as this is.
pub struct Installed {
    /// As it says itself.
    pub version: String,
    /// The process that routes or tells the kernel how to.
    pub process: Option<u32>,
    /// The process that has its BPF maps.
    pub holds_bpf: Option<u32>,
    /// Whether the kernel tracks its connections.
    pub is_tracked: bool,
    /// What ends with it.
    pub keep: Box<dyn Any>,
}

impl Installed {
    /// In the kernel, and as long as the network.
    pub fn in_kernel(version: String) -> Self {
        Self { version, process: None, holds_bpf: None, is_tracked: false, keep: Box::new(()) }
    }

    /// By rules whose connections the kernel tracks.
    pub fn tracked(self, namespace: &Namespace) -> Self {
        // Else connections that are long gone take part, and ports that come again are found among them.
        namespace.set("netfilter/nf_conntrack_tcp_timeout_close", 1);
        Self { is_tracked: true, ..self }
    }
}
