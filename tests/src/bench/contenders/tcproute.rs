//! tcproute: a daemon with one route for the cgroup of the clients.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Installed, Way};
use crate::{
    bench::machine::version,
    mesh::Mesh,
    process::Process,
    replace,
    tcproute::{Daemon, binary},
    wait_for,
};

/// The versions of its backends.
const VERSIONS: [&str; 2] = ["1", "2"];

/// One that routes.
pub struct Routed {
    /// It follows the file of the mesh.
    pub daemon: Daemon,
    mesh: Mesh,
    _pause: Process,
}

impl Routed {
    /// Puts another route into the place of the one that there is: backends that it leads to, in their order.
    pub fn change(&self, way: &Way, backends: &[(usize, u32)]) {
        replace(&self.mesh.file_path(), &mesh(way, backends).text());
    }
}

/// As soon as connections from the namespace of the clients are led that way.
pub fn install(way: &Way, more: &[&str], by: &str) -> Result<Installed> {
    let routed = routed(way, more, by)?;
    let process = Some(routed.daemon.pid());
    let version = version(&binary().to_string_lossy(), "version")?;
    Ok(Installed { process, holds_bpf: process, keep: Box::new(routed), ..Installed::in_kernel(version) })
}

/// The same, to be changed.
pub fn routed(way: &Way, more: &[&str], by: &str) -> Result<Routed> {
    // By it the daemon finds the namespace before there are clients.
    let pause = way.namespace.pause(way.workload);
    let [(_, first), (_, second)] = way.backends;
    let mesh = mesh(way, &[(0, first), (1, second)]);
    let binary = binary().into_os_string().into_string();
    let binary = binary.ok().context("the path of tcproute is not UTF-8")?;
    let workloads: [(&str, &Path); 1] = [("web", way.workload.path())];
    let daemon = Daemon::start_with(&mut way.proxy.command(&binary), &mesh.file(), &workloads, more);
    let inode = way.namespace.inode();
    wait_for("the daemon knows the way", || {
        let status = daemon.json("/v1/status");
        let namespaces = status["networkNamespaces"].as_array().map_or(&[][..], Vec::as_slice);
        namespaces.iter().any(|namespace| namespace["inode"] == inode && namespace["way"] == by)
    });
    Ok(Routed { daemon, mesh, _pause: pause })
}

/// A service with both endpoints, and a route of these weights.
fn mesh(way: &Way, backends: &[(usize, u32)]) -> Mesh {
    let weights: Vec<(&str, u32)> =
        backends.iter().map(|&(number, weight)| (VERSIONS[number], weight)).collect();
    let mut mesh = Mesh::new();
    mesh.outbound("backend", way.service.into()).split("backend", &weights);
    for (version, (address, _)) in VERSIONS.into_iter().zip(way.backends) {
        mesh.endpoint("backend", version, address.into());
    }
    mesh
}
