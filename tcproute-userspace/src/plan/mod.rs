//! From resolved routes to the contents of the maps, and from one content to the next by the smallest safe
//! change. Pure: applying a [`Change`] is the matter of `bpf`.

mod alias;
mod change;
mod layout;
mod space;
mod table;

pub use change::{Change, RouteChange, Run};
pub use layout::{Contents, Inconsistent, Layout, Limits, OverLimit};
pub use table::{Table, Workload, WorkloadId};
