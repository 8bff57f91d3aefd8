//! Pods with Kuma's sidecar, which takes all outbound connections.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod envoy;
mod fixture;
mod past;
mod setup;
mod time;
