//! Whether a node has what tcproute needs: what is missing, and the remedy.
//!
//! - `node`: what is read of it; `cluster`: what only a node of a cluster has.
//! - `peers`: whose other programs are.
//! - `checks`: all of it judged.
//! - `report`: what programs are told of it.

mod checks;
mod cluster;
mod node;
mod peers;
mod report;

use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::task::spawn_blocking;

use crate::sources::kubernetes::{
    Access,
    rights::{self, Denied},
};
use node::Node;

pub use checks::{Check, Status};
pub use report::Report;

/// What is not allowed by an API server, or why it has not told.
type Api = Result<Vec<Denied>, String>;

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Where bpffs is to be mounted.
    pub bpffs: PathBuf,
    /// An API server that is asked what it allows, and the namespace of Kuma's control plane.
    pub api: Option<(Access, String)>,
}

/// Looks at this node, and changes nothing on it.
pub async fn examine(Subject { bpffs, api }: Subject) -> Result<Report> {
    let api = match api {
        Some((access, system_namespace)) => Some(rights::denied(access, &system_namespace).await),
        None => None,
    };
    let node = spawn_blocking(move || Node::read(&bpffs, api)).await.context("it was given up")??;
    Ok(Report::of(node))
}
