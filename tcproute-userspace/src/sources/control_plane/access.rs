//! How a control plane is reached. Credentials and authorities may change while the agent runs: the token is read again
//! for each poll, and the client is made anew from its files whenever one fails that they could be the reason of.

use std::{path::PathBuf, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use thiserror::Error;
use tokio::time::timeout;

use super::{
    super::chain::Chain,
    failure::{Failure, StandardError},
};
use crate::{
    credentials,
    https::{ClientCertificate, Flags, KeptClient, Trust, Url},
};

/// How a control plane is reached.
#[derive(Debug, Clone)]
pub struct Access {
    url: Url,
    trust: Trust,
    token_file: Option<PathBuf>,
}

/// A way to reach it that would not be safe.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the token would be read by everybody on the way to {0}: use https, or --token-over-http")]
pub struct TokenInTheClear(Url);

const FLAGS: Flags = Flags { example: "https://cp:5682", ca: "--ca", token_file: "--token-file" };

/// So long an answer may take to begin, and its parts may be apart.
const ANSWERING: Duration = Duration::from_secs(10);

/// So long an answer may take as a whole.
const WHOLE: Duration = Duration::from_mins(1);

/// More is not read of what went wrong, in bytes.
const MOST_OF_ERROR: usize = 1 << 16;

/// A control plane, asked by one request at a time, so that one connection is all it has with us.
pub(super) struct Server {
    access: Access,
    client: KeptClient<Empty<Bytes>>,
    token: Option<HeaderValue>,
}

impl Access {
    /// `certificate` is shown to the control plane; the token of `token_file` is sent with each request, and over plain
    /// HTTP only if that is asked for. Without `ca` the authorities of the system are believed.
    pub fn new(
        url: Url,
        ca: Option<PathBuf>,
        certificate: Option<ClientCertificate>,
        token_file: Option<PathBuf>,
        token_over_http: bool,
    ) -> Result<Self, TokenInTheClear> {
        if token_file.is_some() && !url.is_encrypted() && !token_over_http {
            return Err(TokenInTheClear(url));
        }
        Ok(Self { url, trust: Trust { ca, certificate, flags: FLAGS }, token_file })
    }

    /// Where it is.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The token as it is at present.
    fn token(&self) -> Result<Option<HeaderValue>, String> {
        self.token_file.as_deref().map(credentials::bearer).transpose()
    }
}

/// Where a control plane is, as users write it.
pub fn url(text: &str) -> Result<Url, String> {
    Url::parse(text, FLAGS)
}

impl Server {
    pub(super) const fn new(access: Access) -> Self {
        Self { access, client: KeptClient::new(), token: None }
    }

    /// Takes the token that is to be sent from now on.
    pub(super) fn renew_token(&mut self) -> Result<(), Failure> {
        self.token = self.access.token().map_err(Failure::Configuration)?;
        Ok(())
    }

    /// Asks for a path with a query. An answer of more than this is none.
    pub(super) async fn get(&mut self, path: &str, most: usize) -> Result<Bytes, Failure> {
        let answer = timeout(WHOLE, self.try_get(path, most)).await;
        let answer = answer.unwrap_or(Err(Failure::Silent(WHOLE)));
        if answer.as_ref().is_err_and(Failure::is_of_client) {
            self.client.suspect();
        }
        answer
    }

    async fn try_get(&mut self, path: &str, most: usize) -> Result<Bytes, Failure> {
        let mut request = Request::get(format!("{}{path}", self.access.url))
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("tcproute/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let request =
            request.body(Empty::new()).map_err(|error| Failure::Configuration(error.to_string()))?;
        let client = self.client.get(&self.access.trust, &self.access.url).map_err(Failure::Configuration)?;
        let response = timeout(ANSWERING, client.request(request)).await;
        let response = response.map_err(|_| Failure::Silent(ANSWERING))?;
        let response = response.map_err(|error| Failure::Connection(Chain(&error).to_string()))?;
        let (head, body) = response.into_parts();
        if head.status == StatusCode::OK {
            return whole(body, most).await;
        }
        let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        // What cannot be read of an error makes it no other error.
        let text = whole(body, MOST_OF_ERROR).await.unwrap_or_default();
        let told: Option<StandardError> = serde_json::from_slice(&text).ok();
        Err(Failure::of(head.status, told, retry_after))
    }
}

/// All of it, if it is no longer than this.
async fn whole(mut body: Incoming, most: usize) -> Result<Bytes, Failure> {
    let mut all = BytesMut::new();
    loop {
        let frame = timeout(ANSWERING, body.frame()).await.map_err(|_| Failure::Silent(ANSWERING))?;
        match frame {
            None => return Ok(all.freeze()),
            Some(Ok(frame)) => {
                let Some(data) = frame.data_ref() else { continue };
                if all.len() + data.len() > most {
                    return Err(Failure::Garbage(format!("it is longer than {most} bytes")));
                }
                all.extend_from_slice(data);
            }
            Some(Err(error)) => return Err(Failure::Connection(Chain(&error).to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_sent_in_the_clear_unless_that_is_asked_for() {
        let access =
            |text, over_http| Access::new(url(text).unwrap(), None, None, Some("t".into()), over_http);
        assert!(access("https://cp", false).is_ok());
        assert!(access("http://cp", true).is_ok());
        let error = access("http://cp", false).unwrap_err().to_string();
        assert!(error.contains("http://cp") && error.contains("--token-over-http"), "{error}");
    }
}
