//! Why a control plane has not given what it was asked for.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use thiserror::Error;

/// What became of a request, or of a list of pages.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Failure {
    /// No request can be made.
    #[error("cannot ask: {0}")]
    Configuration(String),
    /// 401.
    #[error("it does not take the token (401): {0}")]
    Unauthorized(String),
    /// 403.
    #[error("it forbids it (403), so that a --token-file with more rights is needed: {0}")]
    Forbidden(String),
    /// 404 in its own words: there is no such object.
    #[error("there is none (404): {0}")]
    NotFound(String),
    /// 404 of a mesh, with some of those that are there.
    #[error("there is no such mesh (404); there are: {0}")]
    NoMesh(String),
    /// 404 of something that knows no such path.
    #[error("the path is not known there (404)")]
    UnknownPath,
    /// 429.
    #[error("it has too much to do (429)")]
    TooMany(Option<Duration>),
    /// 3xx.
    #[error("it leads elsewhere ({0}), where the token is not for")]
    Redirect(u16),
    /// Anything else that it says.
    #[error("it says {0}: {1}")]
    Status(u16, String),
    /// It cannot be reached, or what it says ends too early.
    #[error("it cannot be reached: {0}")]
    Connection(String),
    /// Nothing comes.
    #[error("it has not answered within {0:?}")]
    Silent(Duration),
    /// What comes cannot be read.
    #[error("what it answers cannot be read: {0}")]
    Garbage(String),
    /// What comes is of several moments.
    #[error("the list changes while it is read: {0}")]
    Torn(String),
    /// Too much of it is gone at once.
    #[error("it has only {now} of {before} that were there: it is asked again before that counts")]
    Doubted {
        /// How many there were.
        before: usize,
        /// How many are left.
        now: usize,
    },
}

/// An error as the control plane tells it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StandardError {
    title: String,
    detail: String,
}

/// More of a message is not told.
const TOLD: usize = 300;

impl Failure {
    /// Of an answer's status, with what it says of it, if that is in its own words.
    pub(super) fn of(status: StatusCode, told: Option<StandardError>, retry_after: Option<Duration>) -> Self {
        let is_own = told.is_some();
        let StandardError { title, detail } = told.unwrap_or_default();
        let text = [title, detail].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
        let text: String = text.chars().take(TOLD).collect();
        match status.as_u16() {
            401 => Self::Unauthorized(text),
            403 => Self::Forbidden(text),
            404 if is_own => Self::NotFound(text),
            404 => Self::UnknownPath,
            429 => Self::TooMany(retry_after),
            code @ 300..=399 => Self::Redirect(code),
            code => Self::Status(code, text),
        }
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

    /// Whether whatever else is asked for may fail as well.
    pub(super) const fn may_be_of_all(&self) -> bool {
        matches!(self, Self::Configuration(_) | Self::Connection(_) | Self::Silent(_))
    }

    /// How long to wait, if it has said so.
    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany(after) => *after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_is_not_there_is_no_path_that_is_not_known() {
        let own = || Some(StandardError { title: "Could not retrieve".into(), detail: "Not found".into() });
        let of = |code: u16, told| Failure::of(StatusCode::from_u16(code).unwrap(), told, None);
        assert_eq!(of(404, own()), Failure::NotFound("Could not retrieve: Not found".to_owned()));
        assert_eq!(of(404, None), Failure::UnknownPath);
        assert_eq!(of(302, None), Failure::Redirect(302));
        assert_eq!(of(500, None), Failure::Status(500, String::new()));
    }
}
