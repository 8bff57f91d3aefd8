//! Which of two policies is the stronger.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::Serialize;

use crate::resources::{DataplaneRef, Origin, PolicyHeader, Role, Selector};

/// The version of Kuma whose order of policies is in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Compat {
    /// Kuma and Kong Mesh 2.4: by the kind of the targetRef, then by name, of which the lexicographically
    /// greater is the stronger.
    #[default]
    #[serde(rename = "2.4")]
    V2_4,
    /// Kuma 2.9 and later: by the kind of the targetRef, origin and role, then by name, of which the
    /// lexicographically *lesser* is the stronger.
    #[serde(rename = "latest")]
    Latest,
}

impl fmt::Display for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V2_4 => "2.4",
            Self::Latest => "latest",
        })
    }
}

impl FromStr for Compat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "2.4" => Ok(Self::V2_4),
            "latest" => Ok(Self::Latest),
            _ => Err("must be 2.4 or latest"),
        }
    }
}

/// How specific a top-level targetRef is, from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Mesh,
    Dataplane,
    /// With a `sectionName`.
    DataplaneSection,
    MeshSubset,
    MeshService,
    MeshServiceSubset,
}

impl Kind {
    const fn of(selector: &Selector) -> Self {
        match selector {
            Selector::Mesh => Self::Mesh,
            Selector::Dataplane(DataplaneRef { section: None, .. }) => Self::Dataplane,
            Selector::Dataplane(_) => Self::DataplaneSection,
            Selector::MeshSubset(_) => Self::MeshSubset,
            Selector::MeshService(_) => Self::MeshService,
            Selector::MeshServiceSubset(..) => Self::MeshServiceSubset,
        }
    }
}

/// What decides how strong one entry of a policy's `to` is against those of other policies.
#[derive(Debug, Clone, Copy)]
pub struct Strength<'a> {
    kind: Kind,
    /// Whether the entry names a port of the destination.
    section: bool,
    header: &'a PolicyHeader,
}

impl<'a> Strength<'a> {
    /// `section` tells whether the entry of `to` names a port of the destination.
    pub const fn new(header: &'a PolicyHeader, selector: &Selector, section: bool) -> Self {
        Self { kind: Kind::of(selector), section, header }
    }

    /// What later versions look at between the kind and the name.
    const fn later(&self) -> (Origin, Role, bool) {
        (self.header.origin, self.header.role, self.section)
    }
}

impl Compat {
    /// From weak to strong; equal only for entries of one policy.
    pub fn order<'a>(self, a: &Strength<'a>, b: &Strength<'a>) -> Ordering {
        let by_kind = a.kind.cmp(&b.kind);
        match self {
            Self::V2_4 => by_kind.then_with(|| a.header.name.cmp(&b.header.name)),
            Self::Latest => {
                let name = |strength: &Strength<'a>| {
                    let header = strength.header;
                    (&header.display_name, &header.name)
                };
                by_kind.then_with(|| a.later().cmp(&b.later())).then_with(|| name(b).cmp(&name(a)))
            }
        }
    }

    /// What makes one of them stronger than the other.
    pub fn deciding(self, a: &Strength<'_>, b: &Strength<'_>) -> &'static str {
        let (origin, role, section) = a.later();
        let (others_origin, others_role, others_section) = b.later();
        if a.kind != b.kind {
            "the kind of its targetRef"
        } else if self == Self::Latest && origin != others_origin {
            "its kuma.io/origin"
        } else if self == Self::Latest && role != others_role {
            "its kuma.io/policy-role"
        } else if self == Self::Latest && section != others_section {
            "the sectionName of its to"
        } else if a.header.name != b.header.name {
            "its name"
        } else {
            "its place in the policy"
        }
    }
}
