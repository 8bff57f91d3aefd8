//! Which policies apply to a Dataplane, and what they say together about a destination.

mod merge;
mod select;

pub use merge::{Conf, Merged, merge};
pub(crate) use select::includes;
pub use select::{from_weak_to_strong, selects};
