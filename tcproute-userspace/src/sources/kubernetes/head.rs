//! What every object has: what it is called by, and which version of it this is.

use serde::Deserialize;

/// What an object is called by among those of its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ObjectName {
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// The beginning of any object.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    pub(super) metadata: HeadMeta,
}

/// As much of `metadata` as is used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeadMeta {
    /// Bookmarks have none.
    #[serde(default)]
    name: String,
    namespace: Option<String>,
    #[serde(default)]
    pub(super) resource_version: String,
    #[serde(default)]
    pub(super) uid: String,
    #[serde(default)]
    pub(super) annotations: HeadAnnotations,
}

/// As much of `metadata.annotations` as is used of every object.
#[derive(Debug, Default, Deserialize)]
pub(super) struct HeadAnnotations {
    #[serde(rename = "k8s.io/initial-events-end")]
    initial_events_end: Option<String>,
}

impl HeadAnnotations {
    /// Whether this is the bookmark behind the last object of a list that was streamed.
    pub(super) fn ends_list(&self) -> bool {
        self.initial_events_end.as_deref() == Some("true")
    }
}

impl HeadMeta {
    /// What it is called by.
    pub(super) fn object_name(&self) -> ObjectName {
        ObjectName { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}
