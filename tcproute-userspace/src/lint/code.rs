//! The codes of warnings. What stands in the documentation of each is checked against these.

use std::fmt;

/// What a warning is about. A code keeps its meaning for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// All weights of a rule are 0.
    NoWeight,
    /// No endpoint is what a backendRef asks for.
    NoEndpoint,
    /// The targetRef of a route selects no Dataplane.
    SelectsNobody,
    /// Another route overrides all of it.
    Overridden,
    /// A MeshHTTPRoute covers the same proxies and an HTTP service.
    HttpCovered,
    /// The endpoints of a service differ in protocol.
    MixedProtocols,
    /// A share is smaller than 0.01 %.
    TinyShare,
    /// Weights look like percent and do not come to 100.
    NotPercent,
    /// A name differs by a letter from one that is there.
    Misspelt,
}

impl Code {
    /// Each of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::NoWeight,
        Self::NoEndpoint,
        Self::SelectsNobody,
        Self::Overridden,
        Self::HttpCovered,
        Self::MixedProtocols,
        Self::TinyShare,
        Self::NotPercent,
        Self::Misspelt,
    ];

    /// Such as `TCP001`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoWeight => "TCP001",
            Self::NoEndpoint => "TCP002",
            Self::SelectsNobody => "TCP003",
            Self::Overridden => "TCP004",
            Self::HttpCovered => "TCP005",
            Self::MixedProtocols => "TCP006",
            Self::TinyShare => "TCP007",
            Self::NotPercent => "TCP008",
            Self::Misspelt => "TCP009",
        }
    }

    /// In a few words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::NoWeight => "All weights are 0",
            Self::NoEndpoint => "A backendRef that no endpoint matches",
            Self::SelectsNobody => "A route that selects nobody",
            Self::Overridden => "A route that is wholly overridden",
            Self::HttpCovered => "A route for an HTTP service that a MeshHTTPRoute covers",
            Self::MixedProtocols => "A service whose endpoints differ in protocol",
            Self::TinyShare => "A share under 0.01 %",
            Self::NotPercent => "Weights that look like percent and are not",
            Self::Misspelt => "A name that differs by a letter",
        }
    }

    /// What to do.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NoWeight => "give one backendRef a weight",
            Self::NoEndpoint => "mend the name or the tags, or give it weight 0 until it has an endpoint",
            Self::SelectsNobody => "mend its targetRef, or remove the route",
            Self::Overridden => "remove the route, or rename the one that is to be the stronger",
            Self::HttpCovered => "split requests in the MeshHTTPRoute, or remove one of the two",
            Self::MixedProtocols => "give all its endpoints the same kuma.io/protocol",
            Self::TinyShare => "mend the weights: a share is a weight over their sum",
            Self::NotPercent => "let the weights come to 100",
            Self::Misspelt => "mend the name",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
