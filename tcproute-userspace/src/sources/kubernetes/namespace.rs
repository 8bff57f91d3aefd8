//! What is used of a Namespace.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Labels or annotations, of which only Kuma's are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KumaMarks(BTreeMap<String, String>);

impl KumaMarks {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for KumaMarks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = Option::<BTreeMap<String, String>>::deserialize(deserializer)?.unwrap_or_default();
        Ok(Self(all.into_iter().filter(|(name, _)| name.contains("kuma.io/")).collect()))
    }
}

/// A Namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Namespace {
    pub(super) metadata: NamespaceMeta,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct NamespaceMeta {
    pub(super) labels: KumaMarks,
    pub(super) annotations: KumaMarks,
}
