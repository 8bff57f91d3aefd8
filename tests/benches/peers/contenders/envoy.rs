//! Envoy: as a proxy that listens where clients dial, and as the sidecar of a pod, to which they are redirected.

use anyhow::{Result, anyhow};
use tcproute_tests::{
    bench::site::{Site, WEIGHTS},
    sidecar::{Backend, Envoy, Families, Program, Protocol, Redirection, Service, Version},
};

use super::Installed;

/// The first of these.
pub(super) fn alone(site: &Site) -> Result<Installed> {
    let program = Program::find().map_err(|why| anyhow!(why))?;
    let envoy = Envoy::start_alone(&program, site.namespace(), &site.proxy, &service(site));
    Ok(installed(&program, envoy))
}

/// The second.
pub(super) fn as_sidecar(site: &Site) -> Result<Installed> {
    let program = Program::find().map_err(|why| anyhow!(why))?;
    let pod = site.pod()?;
    let redirection = Redirection::new(Backend::Nft, Families::Both, Version::V2_14);
    redirection.tried(pod).map_err(|why| anyhow!(why))?;
    redirection.install(pod);
    let envoy = Envoy::start(&program, pod, &site.proxy, &[service(site)]);
    Ok(installed(&program, envoy).tracked(site))
}

fn service(site: &Site) -> Service {
    let endpoints = site.backends.into_iter().zip(WEIGHTS);
    Service {
        name: "backend",
        dialled: site.service.into(),
        protocol: Protocol::Tcp,
        endpoints: endpoints.map(|(address, weight)| (address.into(), weight)).collect(),
    }
}

fn installed(program: &Program, envoy: Envoy) -> Installed {
    let process = Some(envoy.pid());
    Installed {
        process,
        _keep: Box::new(envoy),
        ..Installed::in_kernel(format!("Envoy {}", program.version()))
    }
}
