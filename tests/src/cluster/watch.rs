//! A watch: events as they come.

use anyhow::{Context as _, Result};
use http_body_util::BodyExt as _;
use hyper::{Response, body::Incoming};
use serde_json::Value;
use tokio::time::timeout;

use super::connection::runtime;
use crate::patience;

/// A watch that is open. The server is left when this is dropped.
pub struct Watch {
    /// The code of the answer.
    pub status: u16,
    body: Incoming,
    /// What has come of the next event.
    begun: Vec<u8>,
}

impl Watch {
    pub(super) fn new(response: Response<Incoming>) -> Self {
        Self { status: response.status().as_u16(), body: response.into_body(), begun: Vec::new() }
    }

    /// Waits for the next event: none if the server has ended the watch, an error if it was cut off.
    pub fn next_event(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(end) = self.begun.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.begun.drain(..=end).collect();
                let event = serde_json::from_slice(&line);
                return event
                    .with_context(|| format!("no event: {}", String::from_utf8_lossy(&line)))
                    .map(Some);
            }
            let frame = runtime().block_on(async { timeout(patience(), self.body.frame()).await });
            let Some(frame) = frame.context("no event comes")? else { return Ok(None) };
            if let Ok(data) = frame?.into_data() {
                self.begun.extend(data);
            }
        }
    }

    /// Waits for the event of this type (`ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK`, `ERROR`) about an object of this
    /// name, past others.
    pub fn wait_for(&mut self, kind: &str, name: &str) -> Value {
        loop {
            let event = self.next_event().unwrap_or_else(|error| panic!("{kind} of {name}: {error:#}"));
            let event = event.unwrap_or_else(|| panic!("{kind} of {name}: the watch has ended"));
            if event["type"] == kind && event["object"]["metadata"]["name"] == name {
                return event;
            }
        }
    }
}
