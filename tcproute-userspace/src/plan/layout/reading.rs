//! Which entries of flat arrays are to be read, from what routes say that leads there. Pure.
//!
//! Routes come out of a map that anybody with root may have written: what they say must cost no more than the arrays
//! hold.

use std::{collections::HashSet, ops::Range};

use super::adopt::Inconsistent;
use crate::plan::change::Run;

/// The runs of one array that lead somewhere. Each is read once, however many share it.
#[derive(Debug)]
pub struct Runs {
    entries: u32,
    /// Of which no run has any yet, if none overlap.
    left: u32,
    seen: HashSet<Run>,
}

impl Runs {
    /// Of an array of so many entries.
    pub fn new(entries: u32) -> Self {
        Self { entries, left: entries, seen: HashSet::new() }
    }

    /// The indices to read for this run: none if it was there before.
    pub fn read(&mut self, run: Run) -> Result<Range<u32>, Inconsistent> {
        if run.len == 0 || self.seen.contains(&run) {
            return Ok(0..0);
        }
        let end = run.first.checked_add(run.len).filter(|&end| end <= self.entries);
        let end = end.ok_or(Inconsistent("a run ends beyond its map"))?;
        self.left = self.left.checked_sub(run.len).ok_or(Inconsistent("runs overlap"))?;
        self.seen.insert(run);
        Ok(run.first..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_there_is() {
        let mut runs = Runs::new(10);
        let mut read = |first, len| runs.read(Run { first, len });
        assert_eq!(read(2, 3), Ok(2..5));
        assert_eq!(read(2, 3), Ok(0..0));
        assert_eq!(read(u32::MAX, 0), Ok(0..0));
        assert_eq!(read(8, 3), Err(Inconsistent("a run ends beyond its map")));
        assert_eq!(read(u32::MAX, 2), Err(Inconsistent("a run ends beyond its map")));
        assert_eq!(read(0, u32::MAX >> 1), Err(Inconsistent("a run ends beyond its map")));
        assert_eq!(read(0, 7), Ok(0..7));
        assert_eq!(read(0, 10), Err(Inconsistent("runs overlap")));
    }
}
