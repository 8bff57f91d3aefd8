//! Why the API server has not given what it was asked for.

use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use super::super::chain::Chain;

/// What became of a request, or of a watch.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Failure {
    /// No client can be made.
    #[error("cannot tell how the API server is reached: {0}")]
    Configuration(String),
    /// 401.
    #[error("the API server does not take the credentials (401): {0}")]
    Unauthorized(String),
    /// 403.
    #[error("the API server forbids it (403): {0}")]
    Forbidden(String),
    /// 404: the kind is not there.
    #[error("the API server does not have it (404)")]
    NotFound,
    /// 410, by status or in the stream: the version is too old.
    #[error("the API server has forgotten since when to go on (410)")]
    Gone,
    /// 429.
    #[error("the API server has too much to do (429)")]
    TooMany(Option<Duration>),
    /// Anything else that it says.
    #[error("the API server says {0}: {1}")]
    Status(u16, String),
    /// It cannot be reached, or what it says ends too early.
    #[error("the API server cannot be reached: {0}")]
    Connection(String),
    /// Nothing comes.
    #[error("the API server has not answered within {0:?}")]
    Silent(Duration),
    /// What comes cannot be read.
    #[error("what the API server answers cannot be read: {0}")]
    Garbage(String),
}

/// `Status` of the API: <https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.34/#status-v1-meta>.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) code: u16,
    message: String,
    reason: String,
}

/// More of a message is not told.
const TOLD: usize = 300;

impl Failure {
    /// Of a status of HTTP, or of an event of type ERROR.
    pub(super) fn of(code: u16, status: &Status, retry_after: Option<Duration>) -> Self {
        let text = if status.message.is_empty() { &status.reason } else { &status.message };
        let message: String = text.chars().take(TOLD).collect();
        match code {
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden(message),
            404 => Self::NotFound,
            410 => Self::Gone,
            429 => Self::TooMany(retry_after),
            _ => Self::Status(code, message),
        }
    }

    /// Of what goes wrong on the way.
    pub(super) fn connection(error: &kube::Error) -> Self {
        Self::Connection(match error {
            // What it is called by kube says nothing.
            kube::Error::Service(error) => Chain(&**error).to_string(),
            kube::Error::HyperError(error) => Chain(error).to_string(),
            error => Chain(error).to_string(),
        })
    }

    /// Whether another client may do better: other credentials, another authority, another connection.
    pub(super) const fn is_of_client(&self) -> bool {
        matches!(
            self,
            Self::Configuration(_)
                | Self::Unauthorized(_)
                | Self::Forbidden(_)
                | Self::Connection(_)
                | Self::Silent(_)
        )
    }
}
