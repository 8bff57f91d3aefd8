//! How servers of others are reached: by a URL, and over TLS with authorities and certificates in files.

use std::{
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Uri, uri::Scheme};
use hyper::body::Body;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::credentials;

/// So long a connection may take.
const CONNECTING: Duration = Duration::from_secs(5);

/// How often a connection on which nothing comes is looked after.
const KEPT_ALIVE: Duration = Duration::from_secs(10);

/// A client is not made anew more often.
const OFTEN: Duration = Duration::from_secs(1);

/// A client with one connection.
type HttpClient<B> = Client<HttpsConnector<HttpConnector>, B>;

/// A client that is made when it is needed, and anew from its files when one fails that they could be the reason of.
pub(crate) struct KeptClient<B>(Option<(HttpClient<B>, Instant)>);

/// Where a server is, such as `https://cp:5682`; paths are below that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    is_encrypted: bool,
    /// Without a slash at its end.
    text: String,
}

/// A certificate to show to a server, and its key, in PEM.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// The certificate, with those that lead to its authority.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Flags by which a user tells more, for what is said of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flags {
    /// A URL as it may be.
    pub(crate) example: &'static str,
    /// Of authorities.
    pub(crate) ca: &'static str,
    /// Of a file with a token.
    pub(crate) token_file: &'static str,
}

/// What TLS is spoken by.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    /// Who vouches for the server; those of the system without it.
    pub(crate) ca: Option<PathBuf>,
    /// Who we are.
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) flags: Flags,
}

impl Url {
    /// A place, and nothing else.
    pub(crate) fn parse(text: &str, flags: Flags) -> Result<Self, String> {
        let like = format!("it must be such as {}", flags.example);
        let uri: Uri = text.parse().map_err(|error| format!("{error}: {like}"))?;
        let is_encrypted = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(format!("neither http nor https: {like}")),
        };
        let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
            return Err(format!("without a host: {like}"));
        };
        if authority.as_str().contains('@') {
            return Err(format!("credentials in a URL would be shown: use {}", flags.token_file));
        }
        if uri.query().is_some() {
            return Err(format!("with a query: {like}"));
        }
        Ok(Self { is_encrypted, text: text.trim_end_matches('/').to_owned() })
    }

    /// Whether nobody on the way can read along.
    pub(crate) const fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<B: Body<Data: Send> + Send> KeptClient<B> {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// The one that is there, or else a new one.
    pub(crate) fn get(&mut self, trust: &Trust, url: &Url) -> Result<&HttpClient<B>, String> {
        let (client, _) = match &mut self.0 {
            Some(kept) => kept,
            none => none.insert((trust.client(url)?, Instant::now())),
        };
        Ok(client)
    }

    /// Its files may be why something has failed, so the next one is made from what is in them then.
    pub(crate) fn suspect(&mut self) {
        self.0.take_if(|(_, made)| made.elapsed() >= OFTEN);
    }
}

impl Trust {
    /// A client for this server, with what is in the files at present.
    fn client<B: Body<Data: Send> + Send>(&self, url: &Url) -> Result<HttpClient<B>, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECTING));
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEPT_ALIVE));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls(url)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(1)
            .pool_timer(TokioTimer::new())
            .build(connector))
    }

    fn tls(&self, url: &Url) -> Result<ClientConfig, String> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let no_authorities = |error| {
            let flag = self.flags.ca;
            format!("this system has no authorities to believe: use {flag}: {error}")
        };
        let builder = match &self.ca {
            Some(path) => builder.with_root_certificates(credentials::authorities(path)?),
            // Not even looked for where they are of no use.
            None if !url.is_encrypted => builder.with_root_certificates(RootCertStore::empty()),
            None => builder.with_native_roots().map_err(no_authorities)?,
        };
        match &self.certificate {
            None => Ok(builder.with_no_client_auth()),
            Some(ClientCertificate { chain, key }) => builder
                .with_client_auth_cert(credentials::certificates(chain)?, credentials::private_key(key)?)
                .map_err(|error| format!("{}: {error}", chain.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_place_and_nothing_else() {
        let flags = Flags { example: "https://cp:5682", ca: "--ca", token_file: "--token-file" };
        for (text, told) in [
            ("https://cp:5682", "https://cp:5682"),
            ("http://[::1]:5681/", "http://[::1]:5681"),
            ("https://gateway.example/kuma/", "https://gateway.example/kuma"),
        ] {
            assert_eq!(Url::parse(text, flags).unwrap().to_string(), told);
        }
        for text in
            ["", "cp:5682", "/meshes", "ftp://cp", "https://user:pw@cp", "https://cp/?x=1", "https://"]
        {
            let error = Url::parse(text, flags).unwrap_err();
            assert!(!error.contains("pw"), "{error}");
        }
    }
}
