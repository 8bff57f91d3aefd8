//! Which policies apply to a Dataplane, how strong they are, and what they say together about a destination.

mod merge;
mod select;
mod strength;

pub use merge::{Conf, merge};
pub use select::{Referrer, applies, enforces, selects};
pub(crate) use select::{includes, is_ready, matches, may_be, reaches_namespace, reaches_zone};
pub use strength::{Compat, Strength};
