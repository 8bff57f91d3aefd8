//! How the API server is reached. Credentials and authorities may change while the agent runs: the client is made anew
//! from where they are whenever one fails that they could be the reason of.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use http::{Request, header};
use http_body_util::BodyExt;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{sync::Mutex, time::timeout};

use super::failure::Failure;

/// Where it is told how the API server is reached.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// A file; without it the service account of the pod that this runs in, or else the file that `kubectl` would take.
    pub kubeconfig: Option<PathBuf>,
    /// One of its contexts; without it the current one.
    pub context: Option<String>,
}

/// So long a connection may take.
const CONNECTING: Duration = Duration::from_secs(10);

/// So long an answer may take to begin.
const ANSWERING: Duration = Duration::from_secs(30);

/// So long the parts of an answer may be apart that is no watch.
const GOING_ON: Duration = Duration::from_secs(30);

/// A client is not made anew more often, whoever asks for it.
const OFTEN: Duration = Duration::from_secs(1);

/// More is not read of what went wrong, in bytes.
const MOST_OF_STATUS: usize = 1 << 16;

/// The API server.
pub(super) struct Server {
    access: Access,
    client: Mutex<Option<(Client, Instant)>>,
}

/// An answer as it comes.
pub(super) struct Answer {
    body: Body,
    /// What has come and was not taken.
    rest: BytesMut,
}

impl Server {
    pub(super) fn new(access: Access) -> Self {
        Self { access, client: Mutex::default() }
    }

    /// Asks for a path with a query, in one of these forms.
    pub(super) async fn get(&self, path_and_query: &str, accepted: &str) -> Result<Answer, Failure> {
        // Streams are not compressed: kube reads only the first part of those.
        let request = Request::get(path_and_query)
            .header(header::ACCEPT, accepted)
            .header(header::ACCEPT_ENCODING, "identity")
            .body(Body::empty())
            .map_err(|error| Failure::Configuration(error.to_string()))?;
        self.ask(request).await
    }

    /// Sends a new object there. What is answered.
    pub(super) async fn post(&self, path: &str, object: &serde_json::Value) -> Result<BytesMut, Failure> {
        let request = Request::post(path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(object.to_string().into_bytes()))
            .map_err(|error| Failure::Configuration(error.to_string()))?;
        self.ask(request).await?.whole(MOST_OF_STATUS).await
    }

    async fn ask(&self, request: Request<Body>) -> Result<Answer, Failure> {
        let answer = self.try_ask(request).await;
        if answer.as_ref().is_err_and(Failure::is_of_client) {
            self.give_up_client().await;
        }
        answer
    }

    async fn try_ask(&self, request: Request<Body>) -> Result<Answer, Failure> {
        let client = self.client().await?;
        let response = timeout(ANSWERING, client.send(request)).await;
        let response = response.map_err(|_| Failure::Silent(ANSWERING))?;
        let response = response.map_err(|error| Failure::connection(&error))?;
        let code = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let mut answer = Answer { body: response.into_body(), rest: BytesMut::new() };
        if code.is_success() {
            return Ok(answer);
        }
        let text = answer.whole(MOST_OF_STATUS).await.unwrap_or_default();
        let status = serde_json::from_slice(&text).unwrap_or_default();
        Err(Failure::of(code.as_u16(), &status, retry_after))
    }

    async fn client(&self) -> Result<Client, Failure> {
        let mut client = self.client.lock().await;
        if let Some((client, _)) = &*client {
            return Ok(client.clone());
        }
        let new = self.access.client().await.map_err(Failure::Configuration)?;
        *client = Some((new.clone(), Instant::now()));
        Ok(new)
    }

    async fn give_up_client(&self) {
        let mut client = self.client.lock().await;
        if client.as_ref().is_some_and(|(_, made)| made.elapsed() >= OFTEN) {
            *client = None;
        }
    }
}

impl Access {
    async fn client(&self) -> Result<Client, String> {
        let mut config = self.config().await?;
        config.connect_timeout = Some(CONNECTING);
        // Watches have their own bound, and what fails is tried again elsewhere.
        config.read_timeout = None;
        config.default_retry = false;
        Client::try_from(config).map_err(|error| error.to_string())
    }

    async fn config(&self) -> Result<Config, String> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        if let Some(path) = &self.kubeconfig {
            let read = Kubeconfig::read_from(path).map_err(|error| error.to_string())?;
            return Config::from_custom_kubeconfig(read, &options).await.map_err(|error| error.to_string());
        }
        if self.context.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            return Config::incluster().map_err(|error| error.to_string());
        }
        Config::from_kubeconfig(&options).await.map_err(|error| error.to_string())
    }
}

impl Answer {
    /// All of it, if it is no longer than this.
    pub(super) async fn whole(&mut self, most: usize) -> Result<BytesMut, Failure> {
        while self.more(GOING_ON).await? {
            if self.rest.len() > most {
                return Err(Failure::Garbage(format!("it is longer than {most} bytes")));
            }
        }
        Ok(std::mem::take(&mut self.rest))
    }

    /// The next line, without its end, if there is one and it is no longer than this. It is waited for so long.
    pub(super) async fn line(
        &mut self,
        most: usize,
        patience: Duration,
    ) -> Result<Option<BytesMut>, Failure> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.rest[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line = self.rest.split_to(searched + end + 1);
                line.truncate(searched + end);
                return Ok(Some(line));
            }
            searched = self.rest.len();
            if searched > most {
                return Err(Failure::Garbage(format!("an event is longer than {most} bytes")));
            }
            if !self.more(patience).await? {
                return if self.rest.is_empty() {
                    Ok(None)
                } else {
                    Err(Failure::Connection("it ended within an event".to_owned()))
                };
            }
        }
    }

    /// Whether anything has come.
    async fn more(&mut self, patience: Duration) -> Result<bool, Failure> {
        let frame = timeout(patience, self.body.frame()).await.map_err(|_| Failure::Silent(patience))?;
        match frame {
            None => Ok(false),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.rest.extend_from_slice(data);
                }
                Ok(true)
            }
            Some(Err(error)) => Err(Failure::connection(&error)),
        }
    }
}
