//! The kernel end: maps, programs, links, pins and the cgroups they are attached to.

mod attach_types;
pub mod cgroup;
mod datapath;
pub mod links;
mod object;
pub mod pins;
pub mod requirements;

pub use datapath::{CounterValue, Datapath, Options};
