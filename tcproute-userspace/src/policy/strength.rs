//! Which of two policies is the stronger.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::Serialize;

use crate::resources::{DataplaneRef, Origin, PolicyHeader, ResourceName, Role, Selector};

/// The versions of Kuma whose rules are in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Compat {
    /// Kuma and Kong Mesh 2.4: by the kind of the targetRef, then by name, of which the lexicographically
    /// greater is the stronger.
    #[default]
    #[serde(rename = "2.4")]
    V2_4,
    /// Kuma 2.6 to 2.14: by the kind of the targetRef, origin and role, then by name, of which the
    /// lexicographically *lesser* is the stronger.
    #[serde(rename = "latest")]
    Latest,
    /// Kuma 3: the order of [`Self::Latest`], and what is gone there plays no part.
    #[serde(rename = "3.0")]
    V3,
}

impl fmt::Display for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V2_4 => "2.4",
            Self::Latest => "latest",
            Self::V3 => "3.0",
        })
    }
}

impl FromStr for Compat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "2.4" => Ok(Self::V2_4),
            "latest" => Ok(Self::Latest),
            "3.0" => Ok(Self::V3),
            _ => Err("must be 2.4, latest or 3.0"),
        }
    }
}

/// How specific a top-level targetRef is, from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Mesh,
    Dataplane {
        /// By name is stronger than by labels, and then a section is stronger than none.
        by_name: bool,
        section: bool,
    },
    MeshSubset,
    MeshService,
    MeshServiceSubset,
}

impl Kind {
    const fn of(selector: &Selector) -> Self {
        match selector {
            Selector::Mesh => Self::Mesh,
            Selector::Dataplane(DataplaneRef { name, section, .. }) => {
                Self::Dataplane { by_name: name.is_some(), section: section.is_some() }
            }
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
    /// Whether the entry names a port of the destination, and the destination is one that has ports.
    section: bool,
    header: &'a PolicyHeader,
}

impl<'a> Strength<'a> {
    /// `section` tells whether the entry of `to` names a port of the destination, and that counts.
    pub const fn new(header: &'a PolicyHeader, selector: &Selector, section: bool) -> Self {
        Self { kind: Kind::of(selector), section, header }
    }

    /// What later versions look at between the kind and the name.
    const fn later(&self) -> (Origin, Role, bool) {
        (self.header.origin, self.header.role, self.section)
    }
}

impl Compat {
    /// Whether it has the rules of 2.6 and later.
    pub const fn is_later(self) -> bool {
        !matches!(self, Self::V2_4)
    }

    /// From weak to strong; equal only for entries of one policy.
    pub fn order(self, a: &Strength<'_>, b: &Strength<'_>) -> Ordering {
        let by_kind = a.kind.cmp(&b.kind);
        if self.is_later() {
            let names = (&a.header.meta.display_name, &b.header.meta.display_name);
            let by_attributes = by_kind.then_with(|| a.later().cmp(&b.later()));
            // Of two with one name, in different namespaces, neither is meant to win.
            by_attributes.then_with(|| names.1.cmp(names.0)).then_with(|| a.header.name.cmp(&b.header.name))
        } else {
            by_kind.then_with(|| full(&a.header.name).cmp(full(&b.header.name)))
        }
    }

    /// What makes one of them stronger than the other.
    pub fn deciding(self, a: &Strength<'_>, b: &Strength<'_>) -> &'static str {
        let (origin, role, section) = a.later();
        let (others_origin, others_role, others_section) = b.later();
        if a.kind != b.kind {
            "the kind of its targetRef"
        } else if self.is_later() && origin != others_origin {
            "its kuma.io/origin"
        } else if self.is_later() && role != others_role {
            "its kuma.io/policy-role"
        } else if self.is_later() && section != others_section {
            "the sectionName of its to"
        } else if a.header.name != b.header.name {
            "its name"
        } else {
            "its place in the policy"
        }
    }
}

/// The name that is compared on Kubernetes: `name.namespace`, so that `route.ns` is greater than `route-canary.ns`.
fn full(name: &ResourceName) -> impl Iterator<Item = u8> {
    let namespace =
        name.namespace.iter().flat_map(|namespace| std::iter::once(b'.').chain(namespace.bytes()));
    name.name.bytes().chain(namespace)
}
