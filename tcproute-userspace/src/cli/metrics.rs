//! How metrics are served to others than this node.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Result;
use clap::Args;

use super::BadUsage;
use crate::admin::{
    Detail, Extent,
    remote::{Opened, Options, Tls},
};

#[derive(Debug, Args)]
pub(super) struct MetricsArguments {
    /// Serve metrics at this address, too, with /healthz and /readyz and nothing else of the admin endpoint, such as
    /// 0.0.0.0:9902. Where others reach it this takes TLS and a token or certificates of clients.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
    /// The certificate by which metrics are served over TLS, with those that lead to its authority, in PEM. It, and all
    /// of the other files, is read again when it changes.
    #[arg(long, value_name = "PATH", requires_all = ["metrics_listen", "metrics_tls_key"])]
    metrics_tls_cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, value_name = "PATH", requires_all = ["metrics_listen", "metrics_tls_cert"])]
    metrics_tls_key: Option<PathBuf>,
    /// The authorities of clients, in PEM: whoever wants metrics has to show a certificate of theirs.
    #[arg(long, value_name = "PATH", requires = "metrics_tls_cert")]
    metrics_client_ca: Option<PathBuf>,
    /// A file with the token that whoever wants metrics has to send (Authorization: Bearer).
    #[arg(long, value_name = "PATH", requires = "metrics_listen")]
    metrics_token_file: Option<PathBuf>,
    /// Serve metrics to others also without TLS, where everybody on the way may read them, and without knowing who
    /// asks.
    #[arg(long, requires = "metrics_listen")]
    metrics_insecure: bool,
    /// How finely metrics tell connections apart.
    #[arg(long, value_enum, default_value_t = Detail::Backends, value_name = "DETAIL")]
    metrics_detail: Detail,
    /// Of how many backendRefs (or services) there are metrics of connections. How many are beyond that is told.
    #[arg(long, default_value_t = 2000, value_name = "BACKENDS")]
    metrics_most: usize,
}

impl MetricsArguments {
    /// How much they tell.
    pub(super) const fn extent(&self) -> Extent {
        Extent { detail: self.metrics_detail, most: self.metrics_most }
    }

    /// Listens, if that is asked for.
    pub(super) fn open(&self) -> Result<Option<Opened>> {
        let Some(address) = self.metrics_listen else { return Ok(None) };
        let pair = self.metrics_tls_cert.clone().zip(self.metrics_tls_key.clone());
        let tls = pair.map(|(chain, key)| Tls { chain, key, client_ca: self.metrics_client_ca.clone() });
        let options = Options {
            address,
            tls,
            token_file: self.metrics_token_file.clone(),
            insecure: self.metrics_insecure,
        };
        options.check().map_err(|error| BadUsage(error.to_string()))?;
        options.open().map(Some)
    }
}
