//! From resolved routes to the contents of the maps, and from one content to the next by the smallest safe
//! change. Pure: applying a [`Change`] is the matter of `bpf`.

mod alias;
mod change;
mod counted;
mod ejection;
mod layout;
mod limits;
mod room;
mod shared;
mod space;
mod table;
mod turns;
mod workload_id;

pub use change::{Change, Retired, RouteChange, Run};
pub use counted::{Departed, RefName};
pub use ejection::{EjectionPolicy, Ejections, Member as EjectedMember};
pub use layout::{Contents, Counting, Edit, Inconsistent, Layout, Runs, Staged};
pub use limits::{Demand, LimitedMap, Limits, Memory, OverLimit};
pub use room::Room;
pub use table::{RouteTable, RouteTables, has_too_many_turns};
pub use turns::{MOST_TURNS, Selection};
pub use workload_id::{WorkloadId, WorkloadIds};
