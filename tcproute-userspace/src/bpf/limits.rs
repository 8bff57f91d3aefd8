//! How large the maps are made.

use anyhow::{Result, anyhow};

use super::outcomes;
use crate::plan::{Limits, MOST_TURNS, Size};

impl Limits {
    /// Maps for a table of this size, with room to grow and to hold a second version of all of it.
    pub fn with_room_for(size: Size) -> Result<Self> {
        Ok(Self {
            routes: capacity("routes", size.routes)?,
            backends: capacity("backendRefs", size.backends)?,
            endpoints: capacity("endpoints", size.endpoints)?,
            outcomes: outcomes::entries(size.outcomes, outcomes::possible_cpus()?),
            turns: match size.cursors {
                0 => 1,
                _ => capacity("turns", size.turns)?.max(2 * MOST_TURNS),
            },
            cursors: match size.cursors {
                0 => 1,
                cursors => capacity("routes", cursors)?,
            },
        })
    }
}

/// Entries that a map has at least, and 4 million at most: an array of them takes 96 MiB.
const CAPACITY: std::ops::RangeInclusive<u32> = 4096..=1 << 22;

fn capacity(what: &str, needed: usize) -> Result<u32> {
    let (least, most) = (*CAPACITY.start(), *CAPACITY.end());
    match u32::try_from(needed) {
        Ok(needed) if needed <= most / 2 => Ok((needed * 2).next_power_of_two().max(least)),
        _ => Err(anyhow!("{needed} {what} for the workloads of this node: the limit is {}", most / 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_room_for_a_second_version_and_more_is_refused_by_name() {
        let size = Size { routes: 1, backends: 2_097_152, endpoints: 5000, ..Size::default() };
        let limits = Limits::with_room_for(size).unwrap();
        assert_eq!((limits.routes, limits.backends, limits.endpoints), (4096, 1 << 22, 16_384));
        let error = Limits::with_room_for(Size { backends: 2_097_153, ..size }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2097153 backendRefs for the workloads of this node: the limit is 2097152"
        );
    }
}
