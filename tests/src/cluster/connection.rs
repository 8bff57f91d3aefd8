//! HTTP/1.1 connections to an API server, or to a proxy in front of one.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Arc, OnceLock},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::{self, Runtime},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
        version::TLS13,
    },
};

/// A connection that takes one request after the other.
pub(super) type Connection = SendRequest<Full<Bytes>>;

/// Where somebody speaks HTTP.
#[derive(Clone)]
pub(super) struct Endpoint {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

impl Endpoint {
    pub(super) const fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// Whoever listens there must be vouched for by the authority in this file.
    pub(super) fn secured(address: SocketAddr, authority: &Path) -> Result<Self> {
        let pem = fs::read(authority).with_context(|| format!("cannot read {}", authority.display()))?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem).context("the authority has no certificate")?)?;
        // Named, so that it does not depend on what else is built which one it is.
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_protocol_versions(&[&TLS13])?.with_root_certificates(roots);
        Ok(Self { address, tls: Some(Arc::new(config.with_no_client_auth()).into()) })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await.context("cannot connect")?;
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return handshake(stream).await };
        let name = ServerName::from(self.address.ip());
        handshake(tls.connect(name, stream).await.context("no TLS")?).await
    }
}

async fn handshake(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Connection> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends when nobody can send or reads an answer any more; how is told to those.
    tokio::spawn(connection);
    Ok(sender)
}

/// On which all clients and proxies of this process run.
pub(super) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = runtime::Builder::new_multi_thread();
        builder.worker_threads(2).thread_name("cluster").enable_all();
        builder.build().expect("a runtime can be made")
    })
}
