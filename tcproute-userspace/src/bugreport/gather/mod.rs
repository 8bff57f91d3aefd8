//! What is known of a node, by parts. Nothing is changed, nobody is waited for long, and what cannot be had is told.
//!
//! - `daemon`: what the daemon answers; it may be gone, hang, or be no daemon.
//! - `node`: the kernel, mounts, cgroups and maps.
//! - `log`: what the daemon has logged last.
//! - `known`: the secrets that are known to be here.
//! - `files`: reading files that may be anything.

mod daemon;
mod files;
mod known;
mod log;
mod node;

use std::{path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::{task::spawn_blocking, time::timeout};

use super::{Content, Part};
use crate::doctor::{self, Subject};
pub use known::Places;

/// So long any part may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is gathered.
#[derive(Debug)]
pub struct Request {
    /// What `doctor` looks at.
    pub subject: Subject,
    /// Where the daemon is asked.
    pub admin_socket: PathBuf,
    /// What the daemon goes by, or why that is not known.
    pub config: Result<Value, String>,
    /// A file with the daemon's log; without it systemd's journal.
    pub log: Option<PathBuf>,
}

/// All parts, in the order in which a person would look.
pub async fn gather(request: Request) -> Vec<Part> {
    let Request { subject, admin_socket, config, log } = request;
    let bpffs = subject.bpffs.clone();
    let doctor = async {
        let report = doctor::examine(subject).await.map_err(|error| format!("{error:#}"))?;
        Content::json(&report)
    };
    let (doctor, daemon, log, about, mounts, cgroups, maps) = tokio::join!(
        within(doctor),
        daemon::parts(&admin_socket),
        within(log::content(log)),
        within(blocking(node::about)),
        within(blocking(node::mounts)),
        within(blocking(node::cgroups)),
        within(blocking(move || node::maps(&bpffs))),
    );
    let part = |name, about, content| Part { name, about, content };
    let mut parts = vec![
        part("about.json", "versions, the kernel and the machine", about),
        part("doctor.json", "what `tcproute doctor --output json` tells", doctor),
        part(
            "config.json",
            "what the daemon goes by, and where each of it is from",
            config.map(Content::Json),
        ),
    ];
    parts.extend(daemon);
    parts.extend([
        part("log.txt", "what the daemon has logged last", log),
        part("maps.json", "what is pinned in the bpffs", maps),
        part("mounts.txt", "the mounts of cgroups, bpffs, proc and sysfs", mounts),
        part("cgroups.txt", "the tree of cgroups, and how many processes are in each", cgroups),
    ]);
    parts
}

/// A part, if it comes in time.
async fn within(part: impl Future<Output = Result<Content, String>>) -> Result<Content, String> {
    let late = || Err(format!("it was not had within {} s", PATIENCE.as_secs()));
    timeout(PATIENCE, part).await.unwrap_or_else(|_| late())
}

/// A part that is read, aside.
async fn blocking(
    part: impl FnOnce() -> Result<Content, String> + Send + 'static,
) -> Result<Content, String> {
    spawn_blocking(part).await.unwrap_or_else(|_| Err("it was given up".to_owned()))
}
