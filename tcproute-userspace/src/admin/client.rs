//! The other side of the unix socket.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::timeout};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The body of the answer to `GET path`.
pub async fn get(socket: &Path, path: &str) -> Result<Bytes> {
    let at = socket.display();
    let stream = UnixStream::connect(socket).await.with_context(|| {
        format!("no tcproute answers at {at}: start `tcproute run`, or name its socket with --admin-socket")
    })?;
    let (status, body) = timeout(PATIENCE, exchange(stream, path))
        .await
        .with_context(|| format!("no answer from {at} within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("cannot read the answer of {at}"))?;
    if status != StatusCode::OK {
        bail!("{at} answers {path} with {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    Ok(body)
}

async fn exchange(stream: UnixStream, path: &str) -> Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(HOST, "localhost").body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        answer = &mut answer => answer,
        // It may be done before the answer was taken up.
        result = &mut connection => {
            result?;
            answer.await
        }
    }
}
