//! What a proxy does instead of what it is there for, and to which requests.

use std::time::Duration;

use serde_json::json;

/// Some of the requests: those that have to do with a path, watches or others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    path: String,
    watches: Option<bool>,
}

impl Requests {
    /// All there are.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those whose path has this in it, such as `/dataplanes`.
    pub fn to(path: &str) -> Self {
        Self { path: path.to_owned(), watches: None }
    }

    /// Only watches.
    pub fn watches(self) -> Self {
        Self { watches: Some(true), ..self }
    }

    /// All but watches.
    pub fn no_watches(self) -> Self {
        Self { watches: Some(false), ..self }
    }

    /// Whether such a request is one of these.
    pub(super) fn include(&self, path: &str, is_watch: bool) -> bool {
        path.contains(&self.path) && self.watches.is_none_or(|watches| watches == is_watch)
    }
}

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed without an answer.
    Cut,
    /// The connection is closed after so many bytes of the answer's body.
    CutAfter(usize),
    /// No answer comes, and the connection stays open.
    Hang,
    /// After so many bytes of the answer's body nothing comes any more, and the connection stays open.
    HangAfter(usize),
    /// The request is handed on only after this time.
    Delay(Duration),
    /// This is answered, and the API server is not asked.
    Answer {
        /// The code.
        status: u16,
        /// When to come again, in seconds.
        retry_after: Option<u32>,
        /// All of it.
        body: String,
    },
}

impl Fault {
    /// An answer with this code, as an API server words it.
    pub fn status(code: u16) -> Self {
        Self::Answer { status: code, retry_after: None, body: status(code).to_string() }
    }

    /// Too many requests; come again in so many seconds.
    pub fn too_many_requests(retry_after: u32) -> Self {
        Self::Answer { status: 429, retry_after: Some(retry_after), body: status(429).to_string() }
    }

    /// An answer of code 200 that is not JSON.
    pub fn garbage() -> Self {
        Self::Answer { status: 200, retry_after: None, body: "\u{fffd}{\"items\": [{]\n".to_owned() }
    }

    /// What an API server answers to a watch from a version that it has forgotten: code 200, then this event.
    pub fn expired() -> Self {
        let event = json!({"type": "ERROR", "object": status(410)});
        Self::Answer { status: 200, retry_after: None, body: format!("{event}\n") }
    }
}

fn status(code: u16) -> serde_json::Value {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": format!("the test wants {code}"),
        "reason": reason,
        "code": code,
    })
}
