//! Connections as spans of OpenTelemetry, sent to a collector by OTLP over HTTP (`--otlp`).
//!
//! - `span`, `request`: a connection by the semantic conventions, and a batch of them. Pure.
//! - `sampling`: which are left out, where not all are wanted. Pure.
//! - `queue`: what waits to be sent, within bounds. Pure.
//! - `answer`: what a collector's answer means for what was sent. Pure.
//! - `access`: how a collector is reached.
//! - `export`: listens to decisions and sends what comes of them. `told`: what others may know of that.
//!
//! It is one of those who listen to decisions: nobody waits for it, and without it no events are made. A slow collector
//! costs spans, which are counted, and no connection anything.

mod access;
mod answer;
mod export;
mod queue;
mod request;
mod sampling;
mod span;
mod told;

use std::{io, time::Duration};

use tokio::{sync::oneshot, time::timeout};
use tracing::debug;

use crate::{agent::Handle, sources::thread};

pub use access::{Access, InTheClear, url};
pub use request::Origin;
pub use sampling::Ratio;
pub use told::{Exported, Failing, Told};

/// What is sent, and where to.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the collector is reached.
    pub access: Access,
    /// Which connections are told of.
    pub ratio: Ratio,
    /// Where they are from.
    pub origin: Origin,
}

/// Longer the end is not kept waiting by what is still to be sent.
const PATIENCE: Duration = Duration::from_secs(4);

/// An exporter that runs for as long as the agent does.
pub struct Exporter {
    ended: oneshot::Receiver<()>,
}

impl Exporter {
    /// On a thread of its own. What it comes to is told as `told`.
    pub fn start(options: Options, handle: Handle, told: Told) -> io::Result<Self> {
        let (ending, ended) = oneshot::channel();
        thread::serve("otlp", move || async move {
            export::serve(options, handle, told).await;
            drop(ending);
        })?;
        Ok(Self { ended })
    }

    /// Waits until what was decided is sent, or given up. To be called when the agent is gone.
    pub async fn close(self) {
        if timeout(PATIENCE, self.ended).await.is_err() {
            debug!("the collector keeps spans waiting");
        }
    }
}
