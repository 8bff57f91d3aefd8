//! The other side of the unix socket.

use std::{io::ErrorKind, path::Path, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{Request, StatusCode, body::Incoming, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, task::JoinSet, time::timeout};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// More is not read of an answer, in bytes: it may be somebody else's.
const MOST: usize = 1 << 30;

/// The body of the answer to `GET path`.
pub async fn get(socket: &Path, path: &str) -> Result<Bytes> {
    get_at_most(socket, path, MOST).await
}

/// The value that is the answer to `GET path`.
pub async fn ask<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T> {
    parsed(&get(socket, path).await?)
}

/// The value that a daemon has written.
pub fn parsed<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).context("the daemon is another version of tcproute")
}

/// As [`get`], if it is no longer than this.
pub async fn get_at_most(socket: &Path, path: &str, most: usize) -> Result<Bytes> {
    let at = socket.display();
    let stream = connect(socket).await?;
    let (status, body) = timeout(PATIENCE, exchange(stream, path, most))
        .await
        .with_context(|| format!("no answer from {at} within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("cannot read the answer of {at}"))?;
    if status != StatusCode::OK {
        bail!("{at} answers {path} with {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    Ok(body)
}

/// The lines of an answer that goes on and on.
pub struct Lines {
    body: Incoming,
    /// What came after the last line.
    rest: BytesMut,
    /// Ends with this.
    _connection: JoinSet<()>,
}

impl Lines {
    /// Of the answer to `GET path`.
    pub async fn get(socket: &Path, path: &str) -> Result<Self> {
        let at = socket.display();
        let (mut sender, connection) = http1::handshake(TokioIo::new(connect(socket).await?)).await?;
        let mut tasks = JoinSet::new();
        // What goes wrong is seen by who reads the body.
        tasks.spawn(async move { drop(connection.await) });
        let response = timeout(PATIENCE, sender.send_request(request(path)?))
            .await
            .with_context(|| format!("no answer from {at} within {} s", PATIENCE.as_secs()))?
            .with_context(|| format!("cannot read the answer of {at}"))?;
        let status = response.status();
        if status != StatusCode::OK {
            let body = response.into_body().collect().await?.to_bytes();
            bail!("{at} answers {path} with {status}: {}", String::from_utf8_lossy(&body).trim());
        }
        Ok(Self { body: response.into_body(), rest: BytesMut::new(), _connection: tasks })
    }

    /// The next one; `None` if there are no more. May be given up and called again.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let line = self.rest.split_to(end + 1);
                return Ok(Some(line.freeze()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                // The daemon was killed.
                Some(Err(error)) if error.is_incomplete_message() || error.is_body_write_aborted() => {
                    return Ok(None);
                }
                Some(frame) => {
                    if let Some(data) = frame?.data_ref() {
                        self.rest.extend_from_slice(data);
                    }
                }
            }
        }
    }
}

async fn connect(socket: &Path) -> Result<UnixStream> {
    let at = socket.display();
    UnixStream::connect(socket).await.map_err(|error| {
        let why = match error.kind() {
            ErrorKind::PermissionDenied => format!("{at} is only for the user of the daemon: ask as root"),
            _ => format!(
                "no tcproute answers at {at}: start `tcproute run`, or name its socket with --admin-socket"
            ),
        };
        anyhow!(error).context(why)
    })
}

fn request(path: &str) -> Result<Request<Empty<Bytes>>> {
    Ok(Request::get(path).header(HOST, "localhost").body(Empty::new())?)
}

async fn exchange(stream: UnixStream, path: &str, most: usize) -> Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = request(path)?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), most).collect().await.map_err(|error| {
            let is_longer = error.is::<LengthLimitError>();
            if is_longer { anyhow!("it is longer than {most} bytes") } else { anyhow!(error) }
        })?;
        Ok((status, body.to_bytes()))
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
