//! Names and numbers with a meaning, so that one cannot be taken for another.

use std::{fmt, str::FromStr, sync::Arc};

use serde::Serialize;
use thiserror::Error;

use super::string_map::StringMap;

/// Tags of an inbound, or those that a subset asks for.
pub type Tags = StringMap;

/// Labels of a resource, or those that a reference asks for.
pub type Labels = StringMap;

/// A name must have at least one character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must not be empty")]
pub struct EmptyName;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = EmptyName;

            fn try_from(name: String) -> Result<Self, EmptyName> {
                if name.is_empty() { Err(EmptyName) } else { Ok(Self(name.into())) }
            }
        }

        impl FromStr for $type {
            type Err = EmptyName;

            fn from_str(name: &str) -> Result<Self, EmptyName> {
                name.to_owned().try_into()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A mesh; resources of one never reach into another.
    MeshName
}

name! {
    /// The value of the tag `kuma.io/service`.
    ServiceName
}

impl Default for MeshName {
    fn default() -> Self {
        Self("default".into())
    }
}

/// The name of a resource, with its namespace on Kubernetes. Ordered by name first, as policies are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName {
    /// `name` or `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.namespace`.
    pub namespace: Option<Arc<str>>,
}

impl ResourceName {
    /// Before all others; none is called so.
    pub fn first() -> Self {
        Self { name: "".into(), namespace: None }
    }

    /// Whether it is written so.
    pub fn is(&self, text: &str) -> bool {
        match &self.namespace {
            None => &*self.name == text,
            Some(namespace) => {
                let rest = text.strip_prefix(&*self.name).and_then(|rest| rest.strip_prefix('.'));
                rest == Some(&**namespace)
            }
        }
    }
}

impl From<&ResourceName> for ServiceName {
    /// The name that references use, which have the namespace beside it.
    fn from(name: &ResourceName) -> Self {
        Self(Arc::clone(&name.name))
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}.{namespace}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The weight of a backendRef: its share is this over the sum of all weights of its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Weight(u32);

impl Weight {
    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl From<u32> for Weight {
    fn from(weight: u32) -> Self {
        Self(weight)
    }
}

impl Default for Weight {
    /// What a backendRef without a weight has.
    fn default() -> Self {
        Self(1)
    }
}
