//! Resources that a control plane of Kuma or Kong Mesh has, read over its REST API again and again.
//!
//! - `access`, `failure`: the control plane and what it does not give.
//! - `index`: what it says of itself; `kinds`, `list_name`: what is read of it, by version.
//! - `pages`: a list of several pages; `list`: what is new in it; `store`: all lists together.
//! - `pace`: how long to wait before a list is read again.
//! - `follow`: reads all of them again and again; `told`: what is told of it.

mod access;
mod failure;
mod follow;
mod index;
mod kinds;
mod list;
mod list_name;
mod pace;
mod pages;
mod store;
mod told;

use std::{collections::BTreeSet, io, time::Duration};

use tokio::sync::watch as channel;

use super::{
    last_good::LastGood,
    name::SourceName,
    snapshot::{Health, Latest, Snapshot, Stream},
    thread,
};
use crate::{policy::Compat, resources::MeshName};
use follow::Follower;

pub use access::{Access, TokenInTheClear, url};

/// This source in what is told of it.
pub const NAME: SourceName = "control-plane";

/// What is followed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How it is reached.
    pub access: Access,
    /// Whose resources are read.
    pub meshes: Meshes,
    /// How long to wait before lists are read again, at most while something changes.
    pub interval: Duration,
    /// Whose rules are in force; found out if it is not said.
    pub compat: Option<Compat>,
    /// Whether what fails is logged. Who reads once tells it otherwise.
    pub logs: bool,
}

/// Meshes of a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meshes {
    /// All that it has.
    All,
    /// These, each of which has to be there.
    Named(BTreeSet<MeshName>),
}

impl Meshes {
    /// These, if there are any, or else all.
    pub fn only<'a>(names: impl IntoIterator<Item = &'a MeshName>) -> Self {
        let names: BTreeSet<MeshName> = names.into_iter().cloned().collect();
        if names.is_empty() { Self::All } else { Self::Named(names) }
    }
}

/// Follows a control plane for as long as somebody listens. What it says first is what an earlier daemon has kept, if
/// any is.
pub fn follow(options: Options, last_good: LastGood) -> io::Result<Stream> {
    let before = Snapshot { health: Health::Awaited, ..Snapshot::default() };
    let (told, stream) = channel::channel(Latest::first(before));
    thread::serve(NAME, move || async move {
        Follower::new(options, last_good).serve(told).await;
    })?;
    Ok(stream)
}
