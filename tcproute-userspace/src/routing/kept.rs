//! Which kinds of policies keep connections at the proxy.

use std::{borrow::Cow, fmt, str::FromStr};

use crate::resources::{PERMISSION, other_policy_kind};

/// What stands for no kind at all.
const NONE: &str = "none";

/// Kinds of policies of which none is given up: what they are about is left to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptKinds(Cow<'static, [&'static str]>);

impl KeptKinds {
    /// What a MeshTrafficPermission denies stays denied.
    pub const DEFAULT: Self = Self(Cow::Borrowed(&[PERMISSION]));

    /// Whether policies of this kind are kept.
    pub(super) fn contains(&self, kind: &str) -> bool {
        self.0.contains(&kind)
    }
}

impl Default for KeptKinds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromStr for KeptKinds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == NONE {
            return Ok(Self(Cow::Borrowed(&[])));
        }
        let kind = |name: &str| {
            other_policy_kind(name).map_err(|near| match near {
                Some(near) => format!("unknown kind of policy {name:?}, did you mean {near:?}?"),
                None => format!("unknown kind of policy {name:?}"),
            })
        };
        text.split(',').map(|name| kind(name.trim())).collect::<Result<_, _>>().map(Cow::Owned).map(Self)
    }
}

impl fmt::Display for KeptKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&if self.0.is_empty() { NONE.to_owned() } else { self.0.join(",") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_as_they_are_read() {
        for text in ["none", "MeshTrafficPermission", "MeshTimeout,MeshRetry"] {
            assert_eq!(text.parse::<KeptKinds>().unwrap().to_string(), text);
        }
        assert_eq!("MeshTrafficPermission".parse(), Ok(KeptKinds::default()));
    }

    #[test]
    fn a_misspelt_kind_names_the_nearest() {
        let wrong = "MeshRetry,MeshTimeoutt".parse::<KeptKinds>().unwrap_err();
        assert_eq!(wrong, "unknown kind of policy \"MeshTimeoutt\", did you mean \"MeshTimeout\"?");
        assert!("".parse::<KeptKinds>().is_err());
    }
}
