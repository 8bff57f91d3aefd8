//! Where connections are told of by OpenTelemetry.

use std::path::PathBuf;

use clap::Args;
use nix::unistd::gethostname;

use super::BadUsage;
use crate::{
    https::{ClientCertificate, Url},
    otlp::{self, Access, Options, Origin, Ratio},
};

#[derive(Debug, Args)]
pub(super) struct OtlpArguments {
    /// Send each connection as a span of OpenTelemetry to the collector at this URL, such as https://collector:4318, by
    /// OTLP over HTTP. Unless it ends so, /v1/traces is added.
    #[arg(long, value_name = "URL", value_parser = otlp::url)]
    otlp: Option<Url>,
    /// The authorities by which the collector is believed, in PEM [default: those of the system]
    #[arg(long, value_name = "PATH", requires = "otlp")]
    otlp_ca: Option<PathBuf>,
    /// The certificate that the collector is shown, in PEM.
    #[arg(long, value_name = "PATH", requires_all = ["otlp", "otlp_client_key"])]
    otlp_client_cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, value_name = "PATH", requires_all = ["otlp", "otlp_client_cert"])]
    otlp_client_key: Option<PathBuf>,
    /// A file with the token that the collector is sent (Authorization: Bearer); read again for each batch.
    #[arg(long, value_name = "PATH", requires = "otlp")]
    otlp_token_file: Option<PathBuf>,
    /// A file with other headers that the collector is sent, one a line as `name: value`; read again for each batch.
    #[arg(long, value_name = "PATH", requires = "otlp")]
    otlp_headers_file: Option<PathBuf>,
    /// Send the token and the headers over plain HTTP, too, where everybody on the way may read them.
    #[arg(long, requires = "otlp")]
    otlp_token_over_http: bool,
    /// Send only this share of connections, chosen by chance: 0.1 for every tenth. Spans say so.
    #[arg(long, value_name = "RATIO", default_value = "1", requires = "otlp")]
    otlp_sample: Ratio,
}

impl OtlpArguments {
    /// What is sent, if that is asked for; `node` is this host's name in a cluster.
    pub(super) fn options(&self, node: Option<String>) -> Result<Option<Options>, BadUsage> {
        let Some(url) = self.otlp.clone() else { return Ok(None) };
        let pair = self.otlp_client_cert.clone().zip(self.otlp_client_key.clone());
        let certificate = pair.map(|(chain, key)| ClientCertificate { chain, key });
        let (ca, token, headers) =
            (self.otlp_ca.clone(), self.otlp_token_file.clone(), self.otlp_headers_file.clone());
        let access = Access::new(url, ca, certificate, token, headers, self.otlp_token_over_http)
            .map_err(|error| BadUsage(error.to_string()))?;
        let host = gethostname().ok().map(|name| name.to_string_lossy().into_owned());
        Ok(Some(Options { access, ratio: self.otlp_sample, origin: Origin { host, node } }))
    }
}
