//! tcproute and a cluster: a real kube-apiserver and etcd.
//!
//! Without the two, each test is skipped by its name.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chart;
mod doctor;
mod faults;
mod fixture;
mod node;
mod pods;
mod source;
mod watching;
