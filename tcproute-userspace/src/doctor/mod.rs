//! Whether a node has what tcproute needs: what is missing, and the remedy.

mod checks;
mod node;

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

pub use checks::{Check, Status};
use node::Node;

use crate::bpf::{LoadedProgram, requirements::Features};

/// What was found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Release of the kernel.
    pub kernel: String,
    /// Whether nothing is missing.
    pub ready: bool,
    /// Each thing that was looked at.
    pub checks: Vec<Check>,
    /// What the kernel has beyond the oldest one; empty if that could not be told.
    pub features: BTreeMap<&'static str, Value>,
    /// The programs as this kernel has them; empty if they could not be loaded.
    pub programs: Vec<Program>,
}

/// A program.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    name: String,
    translated_bytes: u32,
    jited_bytes: u32,
    /// From 5.16 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_instructions: Option<u32>,
}

/// Looks at this node, and changes nothing on it.
pub fn examine(bpffs: &Path) -> Result<Report> {
    let node = Node::read(bpffs)?;
    let checks = checks::checks(&node);
    Ok(Report {
        ready: checks.iter().all(|check| check.status != Status::Missing),
        checks,
        features: node.features.as_ref().map(|&found| features(found)).unwrap_or_default(),
        programs: node.programs.unwrap_or_default().into_iter().map(Program::from).collect(),
        kernel: node.release,
    })
}

fn features(features: Features) -> BTreeMap<&'static str, Value> {
    let refusal = if features.refuses_with_econnrefused { "ECONNREFUSED" } else { "EPERM" };
    [("refusal", json!(refusal)), ("mptcpPeerNames", json!(features.names_mptcp_peers))].into()
}

impl From<LoadedProgram> for Program {
    fn from(LoadedProgram { name, translated, jited, verified }: LoadedProgram) -> Self {
        Self { name, translated_bytes: translated, jited_bytes: jited, verified_instructions: verified }
    }
}
