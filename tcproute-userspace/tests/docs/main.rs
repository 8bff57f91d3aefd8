//! The documentation: what can be checked of it without a kernel. What its pages show of the binary is checked in
//! `tests/tests/guide.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chart;
mod command_line;
mod compatibility;
mod dashboards;
mod events;
mod lines;
mod links;
mod pages;
mod rbac;
mod samples;
mod warnings;
