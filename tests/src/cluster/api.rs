//! What tests ask of an API server, as one of its users. Each call waits for the answer.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST},
};
use serde_json::Value;
use tokio::time::timeout;

use super::{
    Kind, Watch,
    connection::{Connection, Endpoint, runtime},
};
use crate::patience;

/// A client with the token of a user.
#[derive(Clone)]
pub struct Api(Arc<Client>);

struct Client {
    endpoint: Endpoint,
    token: Option<String>,
    /// Connections that take another request.
    idle: Mutex<Vec<Connection>>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The code.
    pub status: u16,
    /// The whole of it.
    pub body: String,
}

impl Answer {
    /// It must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

const JSON: &str = "application/json";

impl Api {
    pub(super) fn new(endpoint: Endpoint, token: Option<&str>) -> Self {
        let token = token.map(str::to_owned);
        Self(Arc::new(Client { endpoint, token, idle: Mutex::default() }))
    }

    /// Makes an object, which must not be there yet. Answers with what the server has made of it.
    pub fn create(&self, kind: &Kind, object: &Value) -> Value {
        let namespace = object["metadata"]["namespace"].as_str();
        self.done("POST", &kind.collection(namespace), Some((JSON, object)))
    }

    /// Puts an object in the place of the one that is there.
    pub fn replace(&self, kind: &Kind, object: &Value) -> Value {
        self.done("PUT", &kind.path(&kind.place(object)), Some((JSON, object)))
    }

    /// Changes these fields, and takes away those that are null.
    pub fn patch(&self, kind: &Kind, place: &str, patch: &Value) -> Value {
        self.patch_at(&kind.path(place), patch)
    }

    /// Changes the status of an object whose kind has one apart from it, such as a pod. `patch` is what is to be below
    /// `status`.
    pub fn patch_status(&self, kind: &Kind, place: &str, patch: &Value) -> Value {
        self.patch_at(&format!("{}/status", kind.path(place)), &serde_json::json!({"status": patch}))
    }

    fn patch_at(&self, path: &str, patch: &Value) -> Value {
        self.done("PATCH", path, Some(("application/merge-patch+json", patch)))
    }

    /// Takes an object away at once, also a pod.
    pub fn delete(&self, kind: &Kind, place: &str) {
        self.done("DELETE", &format!("{}?gracePeriodSeconds=0", kind.path(place)), None);
    }

    /// The object, if it is there.
    pub fn get(&self, kind: &Kind, place: &str) -> Option<Value> {
        let path = kind.path(place);
        let answer = self.ask("GET", &path);
        match answer.status {
            200 => Some(answer.json()),
            404 => None,
            _ => panic!("GET {path}: {answer:?}"),
        }
    }

    /// The whole list, with its `items` and version: all objects of a kind, or those of a namespace.
    pub fn list(&self, kind: &Kind, namespace: Option<&str>) -> Value {
        self.done("GET", &kind.collection(namespace), None)
    }

    /// What changes after a version. With none, all objects come first, as added.
    pub fn watch(&self, kind: &Kind, namespace: Option<&str>, version: Option<&str>) -> Result<Watch> {
        let version = version.map(|version| format!("&resourceVersion={version}")).unwrap_or_default();
        let path = format!("{}?watch=true{version}", kind.collection(namespace));
        let (response, _) = runtime().block_on(self.send("GET", &path, None))?;
        Ok(Watch::new(response))
    }

    /// Whether the server names this kind among those that it has.
    pub fn discovers(&self, kind: &Kind) -> bool {
        let root = if kind.group.is_empty() { "api" } else { "apis" };
        let answer = self.ask("GET", &format!("/{root}/{}", kind.api_version()));
        let names = |resources: &Vec<Value>| resources.iter().any(|it| it["name"] == kind.plural);
        answer.status == 200 && answer.json()["resources"].as_array().is_some_and(names)
    }

    /// Whatever is answered.
    pub fn ask(&self, method: &str, path: &str) -> Answer {
        self.try_ask(method, path, None).unwrap_or_else(|error| panic!("{method} {path}: {error:#}"))
    }

    /// Whatever is answered, if anything is, to a request with a body of this type.
    pub fn try_ask(&self, method: &str, path: &str, body: Option<(&str, &Value)>) -> Result<Answer> {
        runtime().block_on(async {
            let (response, connection) = self.send(method, path, body).await?;
            let status = response.status().as_u16();
            let body = timeout(patience(), response.collect()).await.context("the body does not end")??;
            self.idle(connection);
            let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            Ok(Answer { status, body })
        })
    }

    /// What a server answers that does as it is asked.
    fn done(&self, method: &str, path: &str, body: Option<(&str, &Value)>) -> Value {
        let answer = self.try_ask(method, path, body);
        let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error:#}"));
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
        answer.json()
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<(Response<Incoming>, Connection)> {
        let Client { endpoint, token, .. } = &*self.0;
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(HOST, endpoint.address().to_string()).header(ACCEPT, JSON);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some((kind, _)) = body {
            request = request.header(CONTENT_TYPE, kind);
        }
        let body = body.map(|(_, body)| body.to_string()).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body)))?;
        timeout(patience(), self.send_by_any(request)).await.context("no answer comes")?
    }

    /// A connection of earlier may have been closed meanwhile. Then what it gives back was not sent.
    async fn send_by_any(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Connection)> {
        while let Some(mut connection) = self.take_idle() {
            if connection.ready().await.is_err() {
                continue;
            }
            match connection.try_send_request(request).await {
                Ok(response) => return Ok((response, connection)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let mut connection = self.0.endpoint.connect().await?;
        Ok((connection.send_request(request).await?, connection))
    }

    fn take_idle(&self) -> Option<Connection> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn idle(&self, connection: Connection) {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
