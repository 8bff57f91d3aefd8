//! What routes take of what one workload may take.

use std::ops::{AddAssign, SubAssign};

/// Entries that are taken, or may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// A route is as many as it has backendRefs, and one at least.
    pub routes: usize,
    /// A set of endpoints counts once for each route that leads to it.
    pub endpoints: usize,
}

impl Room {
    /// Whether so much is there.
    pub const fn has(self, wanted: Self) -> bool {
        wanted.routes <= self.routes && wanted.endpoints <= self.endpoints
    }
}

impl AddAssign for Room {
    fn add_assign(&mut self, other: Self) {
        self.routes += other.routes;
        self.endpoints += other.endpoints;
    }
}

impl SubAssign for Room {
    fn sub_assign(&mut self, other: Self) {
        self.routes -= other.routes;
        self.endpoints -= other.endpoints;
    }
}
