//! What a person sends who asks for help: one file with all that is known of a node, and nothing secret in it.
//!
//! - `gather`: what is known, by parts. Each that cannot be had says why, in its place.
//! - `secrets`: what must not be in any part, and is left out wherever it stands. Pure.
//! - `pseudonyms`: names and addresses as others, where they are not to be told. Pure.
//! - `archive`: the parts as one file, and a manifest of them. Pure.
//!
//! Three things keep secrets out. Nothing is gathered that is made of them: no environment, no kubeconfig, no token, no
//! key, no resource. What the daemon answers is taken by its known fields alone. And what is gathered is searched for
//! whatever looks like a secret, and for the very secrets that are known to be on this node.

mod archive;
mod gather;
mod pseudonyms;
mod secrets;

use serde_json::Value;

pub use archive::{Bundle, bundle};
pub use gather::{Places, Request, gather};
pub use secrets::{Known, Secrets, looks_secret};

/// A file of the bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it is called.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// What is in it, or why it could not be had.
    pub content: Result<Content, String>,
}

/// What is in a part.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A value of JSON.
    Json(Value),
    /// Lines.
    Text(String),
}

impl Content {
    /// Something that is written as JSON.
    pub(crate) fn json(value: &impl serde::Serialize) -> Result<Self, String> {
        serde_json::to_value(value)
            .map(Self::Json)
            .map_err(|error| format!("it cannot be written as JSON: {error}"))
    }

    /// All of its text, changed.
    fn map(self, change: &mut impl FnMut(&str) -> String) -> Self {
        match self {
            Self::Text(text) => Self::Text(change(&text)),
            Self::Json(value) => Self::Json(map_json(value, change)),
        }
    }
}

fn map_json(value: Value, change: &mut impl FnMut(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(&text)),
        Value::Array(all) => all.into_iter().map(|value| map_json(value, change)).collect(),
        Value::Object(all) => {
            all.into_iter().map(|(name, value)| (change(&name), map_json(value, change))).collect()
        }
        other => other,
    }
}
