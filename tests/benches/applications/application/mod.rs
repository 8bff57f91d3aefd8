//! What people run: a file for each.

pub(crate) mod grpc;
mod kafka;
pub(crate) mod postgresql;
mod python;
mod redis;

use std::path::PathBuf;

use anyhow::Result;
use tcproute_tests::bench::comparison::Figure;

use crate::site::{Client, Site};

/// An application with two servers.
pub(crate) struct Kind {
    /// On a command line and in JSON.
    pub(crate) name: &'static str,
    /// On a page.
    pub(crate) title: &'static str,
    /// Of its servers.
    pub(crate) port: u16,
    /// The first makes a connection each time.
    pub(crate) jobs: &'static [Job],
    pub(crate) start: fn(&Site) -> Result<Box<dyn Application>>,
}

/// What its clients do.
pub(crate) struct Job {
    pub(crate) title: &'static str,
    /// What is measured of it.
    pub(crate) figures: &'static [Figure],
    /// How much of it for a thousand connections that were asked for.
    pub(crate) per_thousand: u32,
    /// Which one it is.
    pub(crate) work: Work,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A connection each time.
    New,
    /// On connections that stay.
    Kept,
}

/// One whose servers are at work. They end with it.
pub(crate) trait Application {
    fn version(&self) -> &str;
    /// Has clients do so much. Nothing of it may fail.
    fn run(&self, work: Work, client: &Client, count: u32) -> Result<Outcome>;
}

/// What came of it.
pub(crate) struct Outcome {
    /// One for each figure of the job.
    pub(crate) values: Vec<f64>,
    /// How many connections came to which server, where each is one.
    pub(crate) by_backend: [u64; 2],
}

/// All of them.
pub(crate) const ALL: [Kind; 4] = [postgresql::KIND, redis::KIND, kafka::KIND, grpc::KIND];

const fn compared(key: &'static str, title: &'static str, decimals: usize) -> Figure {
    Figure { key, title, decimals, compared: true }
}

/// What xtask has provided.
fn provided(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable).filter(|path| !path.is_empty());
    path.map(PathBuf::from).ok_or_else(|| anyhow::anyhow!("{variable} is not set; cargo xtask bench sets it"))
}
