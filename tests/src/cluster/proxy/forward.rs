//! One request: handed on to the API server, or not.

use std::{future::pending, pin::pin, sync::Arc};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER,
        TRANSFER_ENCODING,
    },
};
use tokio::{sync::broadcast, time::sleep};

use super::{
    Asked, Fault, Requests, Shared,
    body::{self, Body, End},
};

/// Headers that are about a connection and not about what it carries.
const OF_CONNECTIONS: [HeaderName; 2] = [CONNECTION, TRANSFER_ENCODING];

/// An error closes the client's connection.
pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>> {
    let asked = Asked::new(request.uri());
    let mut told = Told { cuts: shared.cuts.subscribe(), asked: asked.clone() };
    let mut end = None;
    match shared.take_in(&asked) {
        None => {}
        Some(Fault::Cut) => bail!("cut"),
        Some(Fault::Hang) => {
            told.closing().await;
            bail!("cut while it hung");
        }
        Some(Fault::Delay(time)) => sleep(time).await,
        Some(Fault::CutAfter(bytes)) => end = Some((bytes, End::Cut)),
        Some(Fault::HangAfter(bytes)) => end = Some((bytes, End::Hang)),
        Some(Fault::Answer { status, retry_after, body }) => return instead(status, retry_after, body),
    }
    let response = match select(pin!(hand_on(&shared, request)), pin!(told.closing())).await {
        Either::Left((response, _)) => response?,
        Either::Right(_) => bail!("cut"),
    };
    let (mut head, upstream) = response.into_parts();
    for name in &OF_CONNECTIONS {
        head.headers.remove(name);
    }
    Ok(Response::from_parts(head, body::passed(upstream, end, told)))
}

fn instead(status: u16, retry_after: Option<u32>, body: String) -> Result<Response<Body>> {
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        response = response.header(RETRY_AFTER, seconds);
    }
    Ok(response.body(body::whole(body))?)
}

async fn hand_on(shared: &Shared, request: Request<Incoming>) -> Result<Response<Incoming>> {
    let (mut head, body) = request.into_parts();
    for name in OF_CONNECTIONS.iter().chain([&CONTENT_LENGTH]) {
        head.headers.remove(name);
    }
    head.headers.insert(HOST, HeaderValue::from_str(&shared.endpoint.address().to_string())?);
    let token = HeaderValue::from_str(&format!("Bearer {}", shared.user.token))?;
    head.headers.entry(AUTHORIZATION).or_insert(token);
    let body: Bytes = body.collect().await.context("the request does not end")?.to_bytes();
    let mut connection = shared.endpoint.connect().await?;
    Ok(connection.send_request(Request::from_parts(head, Full::new(body))).await?)
}

/// What the connection of a request is told meanwhile.
pub(super) struct Told {
    cuts: broadcast::Receiver<Requests>,
    asked: Asked,
}

impl Told {
    /// Comes to an end when the connection is to be closed.
    pub(super) async fn closing(&mut self) {
        loop {
            match self.cuts.recv().await {
                Ok(requests) if requests.include(&self.asked) => return,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => pending().await,
            }
        }
    }
}
