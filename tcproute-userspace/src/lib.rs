//! The library behind the `tcproute` binary.
//!
//! ```text
//! sources ──> resources ──> policy ──> routing ──> plan ──> bpf
//! (files,     (typed,       (match,    (resolved   (tables,  (maps, programs,
//!  DNS)        validated)    merge)     routes)     diff)     links)
//! ```
//!
//! `resources`, `policy`, `routing` and `plan` are pure: values in, values out, no clock and no I/O.
//! Effects live in `sources`, `bpf` and `drain`. `agent` drives them, `admin` shows it to others, and `cli` starts
//! both.

pub mod admin;
pub mod agent;
pub mod bpf;
pub mod bugreport;
pub mod cli;
mod colours;
pub mod confined;
mod credentials;
pub mod doctor;
pub mod drain;
mod escaped;
pub mod https;
pub mod known;
pub mod lint;
mod logging;
pub mod memory;
mod netlink;
mod netns;
pub mod otlp;
pub mod outcomes;
pub mod plan;
pub mod policy;
pub mod privileges;
pub mod resources;
pub mod routing;
pub mod service_manager;
pub mod sidecar;
mod sockets;
mod sockopt;
pub mod sources;
mod top;
pub mod trace;
pub mod version;
pub mod workloads;
