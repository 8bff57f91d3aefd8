//! From resolved routes to the contents of the maps, and from one content to the next by the smallest safe
//! change. Pure: applying a [`Change`] is the matter of `bpf`.

mod alias;
mod change;
mod layout;
mod slots;
mod space;
mod table;

pub use change::{Change, RouteChange, Run};
pub use layout::{Layout, Limits, OverLimit};
pub use slots::{Departed, RefName};
pub use table::{Size, Table, Workload, WorkloadId};
