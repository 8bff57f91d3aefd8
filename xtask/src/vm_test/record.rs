//! What is recorded of each kernel, in docs/kernels.json and, for people, in docs/kernels.md.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{verified::Verified, workspace};

/// By the series of the kernel.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Record {
    pub(super) kernels: BTreeMap<String, KernelRecord>,
}

/// One kernel.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KernelRecord {
    /// Debian's version of it.
    pub(super) version: String,
    /// Kernel tests.
    pub(super) passed: usize,
    /// Each as `test: reason`.
    pub(super) skipped: Vec<String>,
    /// What `tcproute doctor` says of the kernel's features.
    pub(super) features: BTreeMap<String, Value>,
    /// By name.
    pub(super) programs: BTreeMap<String, Verified>,
}

impl Record {
    /// Empty if nothing is recorded yet.
    pub(super) fn load() -> Result<Self> {
        let path = json();
        match fs::read_to_string(&path) {
            Ok(text) => {
                serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))
            }
            Err(_) => Ok(Self::default()),
        }
    }
}

/// Where it is kept.
pub(super) fn json() -> PathBuf {
    workspace::root().join("docs/kernels.json")
}
