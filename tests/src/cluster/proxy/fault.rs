//! What a proxy does instead of what it is there for.

use std::time::Duration;

use serde_json::{Value, json};

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

fn status(code: u16) -> Value {
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
