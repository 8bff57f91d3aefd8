//! Cgroups of the unified hierarchy: finding them by name or pattern, seeing them come and go, making one for a
//! command.

mod cgroup;
mod hierarchy;
mod pattern;
mod transient;
mod watch;

pub use cgroup::{Cgroup, CgroupId};
pub use hierarchy::{Cgroup2, NoSuchCgroup};
pub use pattern::{BadPattern, CgroupPattern, Matching};
pub use transient::TransientCgroup;
pub(super) use watch::Watcher;
