//! Whether a node has what tcproute needs: what is missing, and the remedy.

mod checks;
mod node;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

pub use checks::{Check, Status};
use node::Node;

use crate::bpf::{AttachMode, LoadedProgram, attached::AttachedProgram, requirements};

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
    /// What the kernel has beyond the oldest one.
    pub features: Features,
    /// The programs as this kernel has them; empty if they could not be loaded.
    pub programs: Vec<Program>,
    /// Programs of others, where tcproute's are attached; empty if that could not be told.
    pub others: Vec<Other>,
}

/// What the kernel has beyond the oldest one, where that could be told.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    refusal: Option<&'static str>,
    mptcp_peer_names: Option<bool>,
    failure_causes: Option<bool>,
    trace_processes: Option<bool>,
}

/// A program.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    name: String,
    translated_bytes: u32,
    jited_bytes: u32,
    /// From 5.16 on.
    verified_instructions: Option<u32>,
}

/// A program of somebody else.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Other {
    cgroup: PathBuf,
    attach_type: &'static str,
    attach_mode: &'static str,
    name: String,
    id: u32,
}

/// Looks at this node, and changes nothing on it.
pub fn examine(bpffs: &Path) -> Result<Report> {
    let node = Node::read(bpffs)?;
    let checks = checks::checks(&node);
    Ok(Report {
        ready: checks.iter().all(|check| check.status != Status::Missing),
        checks,
        features: node.features.map(Features::from).unwrap_or_default(),
        programs: node.programs.unwrap_or_default().into_iter().map(Program::from).collect(),
        others: node.attached.map(|attached| others(attached.programs)).unwrap_or_default(),
        kernel: node.release,
    })
}

fn others(attached: Vec<AttachedProgram>) -> Vec<Other> {
    attached.into_iter().filter(|program| !program.ours).map(Other::from).collect()
}

impl From<requirements::Features> for Features {
    fn from(found: requirements::Features) -> Self {
        let refusal = if found.refuses_with_econnrefused { "ECONNREFUSED" } else { "EPERM" };
        Self {
            refusal: Some(refusal),
            mptcp_peer_names: Some(found.names_mptcp_peers),
            failure_causes: Some(found.socket_error_offset.is_some()),
            trace_processes: Some(found.names_processes),
        }
    }
}

impl From<AttachedProgram> for Other {
    fn from(AttachedProgram { cgroup, hook, mode, id, name, .. }: AttachedProgram) -> Self {
        let attach_mode = match mode {
            AttachMode::Exclusive => "none",
            AttachMode::Override => "override",
            AttachMode::Multi => "multi",
        };
        Self { cgroup, attach_type: hook, attach_mode, name, id }
    }
}

impl From<LoadedProgram> for Program {
    fn from(LoadedProgram { id: _, name, translated, jited, verified }: LoadedProgram) -> Self {
        Self { name, translated_bytes: translated, jited_bytes: jited, verified_instructions: verified }
    }
}
