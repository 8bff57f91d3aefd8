//! Metrics for those who are elsewhere: who gets them, and in which form.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fixture;
mod form;
mod listener;
mod prometheus;
mod remote;
