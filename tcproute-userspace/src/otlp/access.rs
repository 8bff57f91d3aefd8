//! How a collector is reached. Token and headers are read again for each batch, and the client is made anew from its
//! files when one fails that they could be the reason of.

use std::{path::PathBuf, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use jiff::Timestamp;
use thiserror::Error;
use tokio::time::timeout;

use super::answer::Verdict;
use crate::{
    credentials,
    https::{ClientCertificate, Flags, KeptClient, Trust, Url},
    sources::chain::Chain,
};

const FLAGS: Flags =
    Flags { example: "https://collector:4318", ca: "--otlp-ca", token_file: "--otlp-token-file" };

/// Where traces are taken, below the URL of a collector.
const PATH: &str = "/v1/traces";

/// So long a collector may take for a batch.
const ANSWERING: Duration = Duration::from_secs(10);

/// More is not read of an answer, in bytes.
const MOST_OF_ANSWER: usize = 1 << 16;

/// How a collector is reached.
#[derive(Debug, Clone)]
pub struct Access {
    url: Url,
    trust: Trust,
    token_file: Option<PathBuf>,
    headers_file: Option<PathBuf>,
}

/// A way to reach it that would not be safe.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("what is secret would be read by everybody on the way to {0}: use https, or --otlp-token-over-http")]
pub struct InTheClear(Url);

/// A collector, which is sent one batch at a time.
pub(super) struct Collector {
    access: Access,
    client: KeptClient<Full<Bytes>>,
}

/// Where a collector is, as users write it.
pub fn url(text: &str) -> Result<Url, String> {
    Url::parse(text, FLAGS)
}

impl Access {
    /// `certificate` is shown to the collector; the token and the headers in files are sent with each batch, and over
    /// plain HTTP only if that is asked for. Without `ca` the authorities of the system are believed.
    pub fn new(
        url: Url,
        ca: Option<PathBuf>,
        certificate: Option<ClientCertificate>,
        token_file: Option<PathBuf>,
        headers_file: Option<PathBuf>,
        token_over_http: bool,
    ) -> Result<Self, InTheClear> {
        let has_secrets = token_file.is_some() || headers_file.is_some();
        if has_secrets && !url.is_encrypted() && !token_over_http {
            return Err(InTheClear(url));
        }
        Ok(Self { url, trust: Trust { ca, certificate, flags: FLAGS }, token_file, headers_file })
    }

    /// To where spans are sent: also where that is what was given.
    pub fn target(&self) -> String {
        let url = self.url.as_str();
        if url.ends_with(PATH) { url.to_owned() } else { format!("{url}{PATH}") }
    }

    /// What is in the files at present.
    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = match &self.headers_file {
            None => HeaderMap::new(),
            Some(path) => credentials::headers(path)?,
        };
        if let Some(path) = &self.token_file {
            headers.insert(header::AUTHORIZATION, credentials::bearer(path)?);
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let agent = concat!("tcproute/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        Ok(headers)
    }
}

impl Collector {
    pub(super) const fn new(access: Access) -> Self {
        Self { access, client: KeptClient::new() }
    }

    /// Sends a batch once.
    pub(super) async fn post(&mut self, body: Bytes) -> Verdict {
        let sent = timeout(ANSWERING, self.try_post(body)).await;
        let sent = sent.unwrap_or_else(|_| Err(format!("it has not answered within {ANSWERING:?}")));
        if matches!(sent, Err(_) | Ok(Verdict::Refused { .. })) {
            self.client.suspect();
        }
        sent.unwrap_or_else(|why| Verdict::Again { after: None, why })
    }

    async fn try_post(&mut self, body: Bytes) -> Result<Verdict, String> {
        let mut request =
            Request::post(self.access.target()).body(Full::new(body)).map_err(|error| error.to_string())?;
        *request.headers_mut() = self.access.headers()?;
        let client = self.client.get(&self.access.trust, &self.access.url)?;
        let response = client.request(request).await;
        let response = response.map_err(|error| format!("it cannot be reached: {}", Chain(&error)))?;
        let (head, body) = response.into_parts();
        let body = beginning(body).await;
        Ok(Verdict::of(head.status, &head.headers, &body, Timestamp::now()))
    }
}

/// What was sent has arrived, whatever becomes of the answer's end. Of one that is too long nothing is read.
async fn beginning(mut body: Incoming) -> Bytes {
    let mut all = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Some(data) = frame.data_ref() else { continue };
        if all.len() + data.len() > MOST_OF_ANSWER {
            return Bytes::new();
        }
        all.extend_from_slice(data);
    }
    all.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(text: &str, token: bool, headers: bool, over_http: bool) -> Result<Access, InTheClear> {
        let file = |is_given: bool| is_given.then(|| PathBuf::from("secret"));
        Access::new(url(text).unwrap(), None, None, file(token), file(headers), over_http)
    }

    #[test]
    fn the_path_is_that_of_traces() {
        for (text, target) in [
            ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
            ("https://gateway.example/otlp/", "https://gateway.example/otlp/v1/traces"),
            ("https://gateway.example/otlp/v1/traces", "https://gateway.example/otlp/v1/traces"),
        ] {
            assert_eq!(access(text, false, false, false).unwrap().target(), target);
        }
        let error = url("collector:4318").unwrap_err();
        assert!(error.contains("https://collector:4318"), "{error}");
        let error = url("https://user:pw@collector").unwrap_err();
        assert!(error.contains("--otlp-token-file") && !error.contains("pw"), "{error}");
    }

    #[test]
    fn what_is_secret_is_not_sent_in_the_clear_unless_that_is_asked_for() {
        assert!(access("http://c", false, false, false).is_ok());
        for (token, headers) in [(true, false), (false, true), (true, true)] {
            assert!(access("https://c", token, headers, false).is_ok());
            assert!(access("http://c", token, headers, true).is_ok());
            let error = access("http://c", token, headers, false).unwrap_err().to_string();
            assert!(error.contains("http://c") && error.contains("--otlp-token-over-http"), "{error}");
        }
    }
}
