//! What the verifier of a kernel thinks of a program: read, and compared with what is recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A program on one kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verified {
    /// Instructions that were verified, once for each path on which they were reached.
    pub(crate) instructions: u32,
    /// States that were made.
    pub(crate) states: u32,
    /// Bytes of stack.
    pub(crate) stack: u32,
    /// Bytes after the verifier has rewritten the program.
    pub(crate) translated: u32,
    /// Bytes of machine code.
    pub(crate) jited: u32,
}

/// A line of the kernel test `verifier`, with the program's name.
pub(crate) fn read(line: &str) -> Option<(String, Verified)> {
    let value: Value = serde_json::from_str(line.strip_prefix("VERIFIED ")?).ok()?;
    let program = value["program"].as_str()?.to_owned();
    Some((program, serde_json::from_value(value).ok()?))
}

/// Per cent by which a number may rise without being shown.
const RISE: u64 = 20;

/// One sentence for each number that has risen.
pub(crate) fn rises(recorded: &BTreeMap<String, Verified>, now: &BTreeMap<String, Verified>) -> Vec<String> {
    let risen = recorded.iter().flat_map(|(program, before)| {
        let numbers = |verified: &Verified| {
            [
                (verified.instructions, "instructions to verify"),
                (verified.states, "states to verify"),
                (verified.stack, "bytes of stack"),
                (verified.translated, "bytes translated"),
                (verified.jited, "bytes of machine code"),
            ]
        };
        let now = now.get(program).map(numbers).into_iter().flatten();
        numbers(before).into_iter().zip(now).filter_map(move |((before, what), (now, _))| {
            let risen = u64::from(now) * 100 > u64::from(before) * (100 + RISE);
            risen.then(|| {
                format!("{program} has {now} {what}, more than {RISE} % above the {before} recorded")
            })
        })
    });
    risen.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_of_more_than_a_fifth_is_told() {
        let before = Verified { instructions: 100, states: 10, stack: 0, translated: 100, jited: 50 };
        let now = Verified { instructions: 121, states: 12, stack: 8, translated: 90, jited: 50 };
        let programs = |verified| BTreeMap::from([("connect4".to_owned(), verified)]);
        assert_eq!(
            rises(&programs(before), &programs(now)),
            [
                "connect4 has 121 instructions to verify, more than 20 % above the 100 recorded",
                "connect4 has 8 bytes of stack, more than 20 % above the 0 recorded",
            ]
        );
        assert_eq!(rises(&programs(before), &BTreeMap::new()), [""; 0]);
    }
}
