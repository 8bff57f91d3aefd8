//! tcproute in a pod.

use anyhow::{Result, anyhow};
use tcproute_tests::{
    bench::contenders::{Installed, tcproute},
    sidecar::{Backend, Families, Redirection, Version},
};

use tcproute_tests::bench::site::Site;

/// Where all else is redirected to a proxy, which is not there: so what gets through was led past it.
pub(super) fn beside_sidecar(site: &Site) -> Result<Installed> {
    let pod = site.pod()?;
    let redirection = Redirection::new(Backend::Nft, Families::Both, Version::V2_14);
    redirection.tried(pod).map_err(|why| anyhow!(why))?;
    redirection.install(pod);
    Ok(tcproute::install(&site.way(), &[], "past")?.tracked(site.namespace()))
}
