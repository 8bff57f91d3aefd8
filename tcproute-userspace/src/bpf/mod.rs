//! bpf(2) and nothing else: maps, programs, links and pins.

mod addresses;
mod attach_types;
pub mod attached;
mod batch;
mod datapath;
mod draws;
pub mod events;
mod keep;
mod kernel_btf;
pub mod linked;
mod maps;
mod namespaces;
mod object;
mod outcomes;
pub mod pins;
mod places;
mod programs;
pub mod requirements;
mod reuse;
mod routed;
mod shares;
mod sys;
mod tables;

pub use datapath::{CounterValue, Datapath, Options, PastSidecars};
pub use keep::Missing;
pub use namespaces::{HeldCount, NamespaceMap, pinned_namespaces};
pub use outcomes::possible_cpus;
pub use programs::LoadedProgram;
pub use routed::RoutedSockets;
pub use shares::{Shared, Taken};
pub use sys::AttachMode;
