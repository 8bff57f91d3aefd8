//! Connections as spans: what a collector gets of a real daemon, and what becomes of both when it gets them badly.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod collector;
mod failing;
mod fixture;
mod otelcol;
mod protected;
mod spans;
