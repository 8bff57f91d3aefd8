//! Which policies apply to a Dataplane, how strong they are, and what they say together about a destination.

mod merge;
mod select;
mod strength;

pub use merge::{Conf, merge};
pub(crate) use select::includes;
pub use select::{applies, enforces, selects};
pub use strength::{Compat, Strength};
