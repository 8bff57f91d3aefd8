//! The kernel end: maps, programs, links, pins and the cgroups they are attached to.

mod attach_types;
pub mod attached;
pub mod cgroup;
mod datapath;
mod object;
pub mod pins;
pub mod requirements;
mod sys;

pub use datapath::{CounterValue, Datapath, LoadedProgram, Options};
pub use sys::AttachMode;
