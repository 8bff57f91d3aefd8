//! The kernel end: maps, programs, links, pins and the cgroups they are attached to.

mod attach_types;
pub mod cgroup;
mod datapath;
mod kernel_btf;
mod object;
mod outcomes;
pub mod pins;
pub mod requirements;

pub use datapath::{CounterValue, Datapath, Options};
