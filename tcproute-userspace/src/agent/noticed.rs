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
            Counter::Held => {
                "that have a route were left to their sidecar: the way past it was not open in their network namespace, \
                 see `tcproute status`"
            }
            Counter::MarkTaken => {
                "were left to the addresses that they dialled: others have set bits of their socket's mark that lead past the \
                 sidecar; choose others with --sidecar-mark"
            }
            _ => return None,
        };
        (value > 0).then(|| (counter, format!("{value} connections {text}")))
    };
    counters.iter().filter_map(line).collect()
}
