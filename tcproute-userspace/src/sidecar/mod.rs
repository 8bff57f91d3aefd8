//! Past a sidecar's own redirection.
//!
//! A sidecar such as Kuma's has all connections of its pod's network namespace redirected to itself. That looks at
//! packets, and so comes after the programs. A routed connection therefore carries a mark, by which a table of our own
//! in that namespace leads it past. It edits nobody's rules, and goes as a whole.
//!
//! - `settings`: where, and by which mark.
//! - `redirection`, `legacy`: what Kuma has written there.
//! - `nftables`, `table`: our table, over netlink.
//! - `inside`: what is looked at and done within a namespace.
//! - `passage`: what becomes of connections, by what was seen. Pure.
//! - `known`: the namespaces of workloads, and the map that tells the programs.
//! - `follow`: when to look again.
//! - `everywhere`: the end of it all.
//! - `probe`: whether it can be done on this kernel; `survey`: who redirects in a namespace.

mod everywhere;
mod follow;
mod inside;
mod known;
mod legacy;
mod nftables;
mod passage;
mod probe;
mod redirection;
mod settings;
mod state;
mod survey;
mod table;

pub(crate) use everywhere::remove as remove_left_tables;
pub use follow::{Follower, Lasting, Workloads};
pub use probe::probe;
pub use tcproute_common::Way;

pub use settings::{KUMA_UID, Mark, Mode, NoMark, Settings};
pub use state::{NamespaceState, State, WAYS, name_of};
pub use survey::{Backend, Redirector, survey};
