//! What a client asks.

use super::options::Options;

/// A request as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// The path with the query.
    pub path: String,
    /// The header Host.
    pub host: String,
    /// The header Authorization, in clear.
    pub authorization: Option<String>,
    /// Whether the client has shown a certificate.
    pub has_certificate: bool,
}

impl Request {
    /// One without a token.
    pub fn get(path: &str, host: &str) -> Self {
        Self { method: "GET".into(), path: path.into(), host: host.into(), ..Self::default() }
    }

    /// The token that it shows, if it shows any.
    pub(super) fn token(&self) -> Option<&str> {
        self.authorization.as_deref()?.strip_prefix("Bearer ")
    }

    /// Whether it has the token that a server takes.
    pub(super) fn is_admitted(&self, options: &Options) -> bool {
        self.token().is_some_and(|token| Some(token) == options.token.as_deref())
    }

    /// The path alone.
    pub(super) fn route(&self) -> &str {
        self.path.split_once('?').map_or(&self.path, |(route, _)| route)
    }

    /// The parameters of the query, in their order.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let query = self.path.split_once('?').map(|(_, query)| query).unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// A parameter, if it is there and says anything.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let found = self.parameters().into_iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// Whether a list is asked for from another place than its beginning.
    pub(super) fn is_next_page(&self) -> bool {
        self.parameter("offset").is_some_and(|offset| offset.parse().is_ok_and(|offset: usize| offset > 0))
    }
}
