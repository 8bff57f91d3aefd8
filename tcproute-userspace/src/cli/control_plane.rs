//! How a control plane of Kuma is reached.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{BadUsage, seconds};
use crate::{
    https::{ClientCertificate, Url},
    policy::Compat,
    sources::control_plane::{self, Access, Meshes, Options},
};

#[derive(Debug, Args)]
pub(super) struct ControlPlaneArguments {
    /// The REST API of Kuma's control plane, such as https://cp:5682.
    #[arg(long, value_name = "URL", value_parser = control_plane::url)]
    url: Option<Url>,
    /// The authorities by which the control plane is believed, in PEM [default: those of the system]
    #[arg(long, value_name = "PATH", requires = "url")]
    ca: Option<PathBuf>,
    /// The certificate that the control plane is shown, in PEM.
    #[arg(long, value_name = "PATH", requires_all = ["url", "client_key"])]
    client_cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, value_name = "PATH", requires_all = ["url", "client_cert"])]
    client_key: Option<PathBuf>,
    /// A file with the token that the control plane is sent; read again before each poll.
    #[arg(long, value_name = "PATH", requires = "url")]
    token_file: Option<PathBuf>,
    /// Send the token over plain HTTP, too, where everybody on the way may read it.
    #[arg(long, requires = "token_file")]
    token_over_http: bool,
    /// How long to wait before the control plane is asked again. A large mesh in which nothing changes is asked less
    /// often: for no more than a MiB a second, and every ten intervals at least.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    poll_interval: Duration,
}

impl ControlPlaneArguments {
    /// Whether there is one.
    pub(super) const fn is_given(&self) -> bool {
        self.url.is_some()
    }

    /// How it is followed; `logs` is whether what fails is logged.
    pub(super) fn options(
        &self,
        meshes: Meshes,
        compat: Option<Compat>,
        logs: bool,
    ) -> Result<Options, BadUsage> {
        let url = self.url.clone();
        let url = url.ok_or_else(|| BadUsage("--source control-plane needs --url URL".to_owned()))?;
        let pair = self.client_cert.clone().zip(self.client_key.clone());
        let certificate = pair.map(|(chain, key)| ClientCertificate { chain, key });
        let (ca, token_file) = (self.ca.clone(), self.token_file.clone());
        let access = Access::new(url, ca, certificate, token_file, self.token_over_http)
            .map_err(|error| BadUsage(error.to_string()))?;
        Ok(Options { access, meshes, interval: self.poll_interval, compat, logs })
    }
}
