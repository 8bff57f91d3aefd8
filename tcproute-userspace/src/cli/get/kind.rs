//! The kinds of things that there are lists of, by all the names that kubectl would have for them.

use std::str::FromStr;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    Dataplanes,
    Services,
    Endpoints,
    Policies,
    Routes,
    Connections,
}

impl Kind {
    pub(in crate::cli) const ALL: [Self; 6] =
        [Self::Dataplanes, Self::Services, Self::Endpoints, Self::Policies, Self::Routes, Self::Connections];

    /// Its name first.
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Dataplanes => &["dataplanes", "dataplane", "dp"],
            Self::Services => &["services", "service", "svc"],
            Self::Endpoints => &["endpoints", "endpoint", "ep"],
            Self::Policies => &["policies", "policy", "meshtcproutes", "meshtcproute"],
            Self::Routes => &["routes", "route"],
            Self::Connections => &["connections", "connection", "conn"],
        }
    }

    /// As it is asked for at the admin endpoint, too.
    pub(in crate::cli) const fn name(self) -> &'static str {
        self.names()[0]
    }

    /// Of which kind the names are by which it is chosen.
    pub(in crate::cli) const fn named(self) -> Self {
        match self {
            Self::Dataplanes | Self::Routes | Self::Connections => Self::Dataplanes,
            Self::Services | Self::Endpoints => Self::Services,
            Self::Policies => Self::Policies,
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_lowercase();
        let known = Self::ALL.into_iter().find(|kind| kind.names().contains(&lower.as_str()));
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no list of {text:?}: it must be of {names}")
        })
    }
}

/// A kind, and one of it where that is written with a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct What {
    pub(super) kind: Kind,
    pub(super) name: Option<String>,
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            None => Ok(Self { kind: text.parse()?, name: None }),
            Some((_, "")) => Err("there must be a name after the slash".to_owned()),
            Some((kind, name)) => Ok(Self { kind: kind.parse()?, name: Some(name.to_owned()) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singular_plural_and_short_names_are_the_same() {
        for kind in Kind::ALL {
            for name in kind.names() {
                assert_eq!(name.parse(), Ok(kind));
            }
        }
        assert_eq!("MeshTCPRoute".parse(), Ok(Kind::Policies));
        let what: What = "dp/web.shop".parse().unwrap();
        assert_eq!(what, What { kind: Kind::Dataplanes, name: Some("web.shop".to_owned()) });
        assert!("pods".parse::<What>().is_err() && "dp/".parse::<What>().is_err());
    }
}
