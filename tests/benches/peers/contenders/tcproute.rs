//! tcproute: a daemon with one route for the cgroup of the clients.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use tcproute_tests::{
    bench::{
        machine::version,
        site::{Site, WEIGHTS},
    },
    mesh::Mesh,
    sidecar::{Backend, Families, Redirection, Version},
    tcproute::{Daemon, binary},
    wait_for,
};

use super::Installed;

/// Backends by chance, which is the default.
pub(super) fn random(site: &Site) -> Result<Installed> {
    routed(site, &["--selection", "random"], "plain")
}

/// Backends in turns.
pub(super) fn even(site: &Site) -> Result<Installed> {
    routed(site, &["--selection", "even"], "plain")
}

/// In a pod where all else is redirected to a proxy, which is not there: so what gets through was led past it.
pub(super) fn beside_sidecar(site: &Site) -> Result<Installed> {
    let pod = site.pod()?;
    let redirection = Redirection::new(Backend::Nft, Families::Both, Version::V2_14);
    redirection.tried(pod).map_err(|why| anyhow!(why))?;
    redirection.install(pod);
    Ok(routed(site, &[], "past")?.tracked(site))
}

/// As soon as connections from the namespace of the clients are led that way.
fn routed(site: &Site, more: &[&str], way: &str) -> Result<Installed> {
    // By it the daemon finds the namespace before there are clients.
    let pause = site.namespace().pause(site.workload());
    let mut mesh = Mesh::new();
    let [first, second] = WEIGHTS;
    mesh.outbound("backend", site.service.into()).split("backend", &[("1", first), ("2", second)]);
    for (version, address) in ["1", "2"].into_iter().zip(site.backends) {
        mesh.endpoint("backend", version, address.into());
    }
    let binary = binary().into_os_string().into_string();
    let binary = binary.ok().context("the path of tcproute is not UTF-8")?;
    let workloads: [(&str, &Path); 1] = [("web", site.workload().path())];
    let daemon = Daemon::start_with(&mut site.proxy.command(&binary), &mesh.file(), &workloads, more);
    let inode = site.namespace().inode();
    wait_for("the daemon knows the way", || {
        let status = daemon.json("/v1/status");
        let namespaces = status["networkNamespaces"].as_array().map_or(&[][..], Vec::as_slice);
        namespaces.iter().any(|namespace| namespace["inode"] == inode && namespace["way"] == way)
    });
    let process = Some(daemon.pid());
    let version = version(&binary, "version")?;
    Ok(Installed {
        process,
        holds_bpf: process,
        _keep: Box::new((daemon, mesh, pause)),
        ..Installed::in_kernel(version)
    })
}
