//! tcproute and a control plane of Kuma: one of ours, in two versions, and a real one where
//! `TCPROUTE_TEST_KUMA_CP` names its binary.
//!
//! Without that, what is for a real one is skipped by its name.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod applied;
mod auto;
mod faults;
mod fixture;
mod follow;
mod together;
mod zones;
