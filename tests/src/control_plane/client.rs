//! One request at a time, for what tests put into a real control plane and for tests of ours.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request,
    client::conn::http1,
    header::{CONTENT_TYPE, HOST},
    http::response::Parts,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

/// How a server is asked.
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// Until when the whole body must be there.
    pub(super) patience: Duration,
    /// Headers with their values.
    pub(super) headers: Vec<(&'static str, String)>,
}

/// What has come.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) head: Parts,
    pub(super) body: String,
    /// Whether the body has come to its end.
    pub(super) is_complete: bool,
}

impl Reply {
    pub(super) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, tls: None, patience: Duration::from_secs(10), headers: Vec::new() }
    }

    /// Asks on a connection of its own. It is an error if no head of an answer comes.
    pub(super) fn ask(&self, method: &str, path: &str, body: &str) -> Result<Reply> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let connecting = TcpStream::connect(self.address);
            let stream = timeout(self.patience, connecting).await.context("cannot connect")??;
            let Some(config) = &self.tls else { return self.speak(stream, method, path, body).await };
            let connector = TlsConnector::from(Arc::clone(config));
            let handshake = connector.connect(ServerName::from(self.address.ip()), stream);
            let stream = timeout(self.patience, handshake).await.context("no TLS")??;
            self.speak(stream, method, path, body).await
        })
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<Reply> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request =
            Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
        if !self.headers.iter().any(|(name, _)| *name == HOST.as_str()) {
            request = request.header(HOST, self.address.to_string());
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned())))?;
        let response = timeout(self.patience, sender.send_request(request)).await.context("no answer")??;
        let (head, mut incoming) = response.into_parts();
        let mut bytes = Vec::new();
        let reading = async {
            while let Some(frame) = incoming.frame().await {
                bytes.extend_from_slice(frame?.data_ref().map_or(&[][..], |data| &data[..]));
            }
            anyhow::Ok(())
        };
        let is_complete = matches!(timeout(self.patience, reading).await, Ok(Ok(())));
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Reply { head, body, is_complete })
    }
}
