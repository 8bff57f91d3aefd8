//! Envoy as the sidecar of a pod, to which clients are redirected.

use anyhow::{Result, anyhow};
use tcproute_tests::{
    bench::contenders::{Installed, envoy},
    sidecar::{Backend, Envoy, Families, Program, Redirection, Version},
};

use tcproute_tests::bench::site::Site;

pub(super) fn as_sidecar(site: &Site) -> Result<Installed> {
    let program = Program::find().map_err(|why| anyhow!(why))?;
    let pod = site.pod()?;
    let redirection = Redirection::new(Backend::Nft, Families::Both, Version::V2_14);
    redirection.tried(pod).map_err(|why| anyhow!(why))?;
    redirection.install(pod);
    let started = Envoy::start(&program, pod, &site.proxy, &[envoy::service(&site.way())]);
    Ok(envoy::installed(&program, started).tracked(site.namespace()))
}
