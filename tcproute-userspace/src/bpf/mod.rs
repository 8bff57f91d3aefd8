//! The kernel end: maps, programs, links, pins and the cgroups they are attached to.

mod attach_types;
pub mod attached;
pub mod cgroup;
pub mod cgroup_pattern;
mod datapath;
pub mod events;
mod kernel_btf;
mod limits;
pub mod links;
mod maps;
mod object;
mod outcomes;
pub mod pins;
mod programs;
pub mod requirements;
mod reuse;
mod routed;
mod slots;
mod sys;
mod tables;

pub use datapath::{CounterValue, Datapath, Options};
pub use programs::LoadedProgram;
pub use routed::RoutedSockets;
pub use sys::AttachMode;
