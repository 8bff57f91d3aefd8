//! What the programs have counted that an operator should know of.

use tcproute_common::Counter;

use crate::bpf::CounterValue;

/// A line for each such counter that has counted anything.
pub(super) fn noticed(counters: &[CounterValue]) -> Vec<(Counter, String)> {
    let line = |&CounterValue { counter, value }: &CounterValue| {
        let text = match counter {
            Counter::SourceBound => {
                "were left to the addresses that they dialled: they are bound to loopback, or to an address of the other family, and \
                 cannot reach an endpoint elsewhere from there"
            }
            Counter::Elsewhere => {
                "were led elsewhere after tcproute had chosen an endpoint: another program rewrites destinations behind it; \
                 `tcproute doctor` lists those that are attached above the workloads"
            }
            _ => return None,
        };
        (value > 0).then(|| (counter, format!("{value} connections {text}")))
    };
    counters.iter().filter_map(line).collect()
}
