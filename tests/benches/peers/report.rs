//! What the figures are called, and how they are shown.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};
use tcproute_tests::bench::{
    comparison::{Comparison, Figure, Found},
    load::{Bulk, Connections, Requests},
    machine::Machine,
    site::WEIGHTS,
};

const fn compared(key: &'static str, title: &'static str, decimals: usize) -> Figure {
    Figure { key, title, decimals, compared: true }
}

const fn alone(key: &'static str, title: &'static str, decimals: usize) -> Figure {
    Figure { key, title, decimals, compared: false }
}

/// Those of connections by so many threads.
pub(crate) struct OfConnections {
    rate: Figure,
    connect: [Figure; 3],
    first_byte: [Figure; 3],
    cpu: Figure,
}

macro_rules! of_connections {
    ($threads:literal, $by:literal) => {
        OfConnections {
            rate: compared(concat!("connectionsPerSecond", $threads), concat!("conn/s, ", $by), 0),
            connect: [
                compared(concat!("connectP50Micros", $threads), "connect() p50, µs", 1),
                compared(concat!("connectP99Micros", $threads), "p99, µs", 1),
                compared(concat!("connectP999Micros", $threads), "p99.9, µs", 1),
            ],
            first_byte: [
                compared(concat!("firstByteP50Micros", $threads), "first byte p50, µs", 1),
                compared(concat!("firstByteP99Micros", $threads), "p99, µs", 1),
                compared(concat!("firstByteP999Micros", $threads), "p99.9, µs", 1),
            ],
            cpu: compared(
                concat!("cpuMicrosPerConnection", $threads),
                concat!("a connection, ", $by, ", µs"),
                1,
            ),
        }
    };
}

/// By one thread, and by four.
pub(crate) const CONNECTIONS: [OfConnections; 2] =
    [of_connections!(1, "1 thread"), of_connections!(4, "4 threads")];

const REQUEST: [Figure; 3] = [
    compared("requestP50Micros", "request p50, µs", 1),
    compared("requestP99Micros", "p99, µs", 1),
    compared("requestP999Micros", "p99.9, µs", 1),
];
const REQUESTS: Figure = compared("requestsPerSecond", "requests/s", 0);
const CPU_PER_REQUEST: Figure = compared("cpuMicrosPerRequest", "a request, µs", 2);
const THROUGHPUT: Figure = compared("gigabytesPerSecond", "GB/s", 2);
const CPU_PER_GIGABYTE: Figure = compared("cpuSecondsPerGigabyte", "a GB, s", 3);
/// What the process has in memory that routes, or tells the kernel how to.
pub(crate) const PROCESS_MEMORY: Figure = alone("residentMebibytes", "resident, MiB", 1);
/// What its BPF maps and programs take.
pub(crate) const KERNEL_MEMORY: Figure = alone("bpfMebibytes", "BPF maps and programs, MiB", 1);

impl OfConnections {
    /// Adds those of a round.
    pub(crate) fn add(&self, made: &Connections, found: &mut Found) {
        found.add(self.rate, made.per_second);
        for (figures, latency) in [(self.connect, made.connect), (self.first_byte, made.first_byte)] {
            for (figure, value) in figures.into_iter().zip([latency.p50, latency.p99, latency.p999]) {
                found.add(figure, value);
            }
        }
        found.add(self.cpu, made.cpu);
    }
}

/// Adds those of a round.
pub(crate) fn requests(made: &Requests, found: &mut Found) {
    for (figure, value) in REQUEST.into_iter().zip([made.latency.p50, made.latency.p99, made.latency.p999]) {
        found.add(figure, value);
    }
    found.add(REQUESTS, made.per_second);
    found.add(CPU_PER_REQUEST, made.cpu);
}

/// Adds those of a round.
pub(crate) fn bulk(made: &Bulk, found: &mut Found) {
    found.add(THROUGHPUT, made.per_second);
    found.add(CPU_PER_GIGABYTE, made.cpu);
}

/// The tables, each with what it is about.
fn tables() -> Vec<(&'static str, Vec<Figure>)> {
    let [one, four] = &CONNECTIONS;
    vec![
        ("Connections", vec![one.rate, four.rate]),
        ("connect(), 1 thread", one.connect.to_vec()),
        ("connect(), 4 threads", four.connect.to_vec()),
        ("From connect() to the first byte, 1 thread", one.first_byte.to_vec()),
        ("From connect() to the first byte, 4 threads", four.first_byte.to_vec()),
        ("Requests of 64 B on an established connection", [&REQUEST[..], &[REQUESTS]].concat()),
        ("A stream", vec![THROUGHPUT]),
        ("CPU of client, server and proxy", vec![one.cpu, four.cpu, CPU_PER_REQUEST, CPU_PER_GIGABYTE]),
        ("Memory of what routes", vec![PROCESS_MEMORY, KERNEL_MEMORY]),
    ]
}

/// As a page has them.
pub(crate) fn text(comparison: &Comparison, rounds: u32, connections: u32) -> String {
    let mut text = format!(
        "{}.\n\nMedians of {rounds} interleaved rounds of {connections} connections by one thread and twice as many \
         by four; [least..greatest]. Ratios are taken within a round, to a direct connection in the same kind of \
         network; in brackets the bootstrap interval of 95 %.\n",
        Machine::this().text()
    );
    for (title, figures) in tables() {
        let _ = write!(text, "\n### {title}\n\n{}", comparison.table(&figures));
    }
    let [first, second] = WEIGHTS;
    let _ = write!(text, "\n### The split, which is to be {first}/{second}\n\n{}", comparison.splits());
    text + &comparison.absentees()
}

/// The same for other programs, with every round.
pub(crate) fn json(comparison: &Comparison, rounds: u32, connections: u32) -> Value {
    let figures: Vec<Figure> = tables().into_iter().flat_map(|(_, figures)| figures).collect();
    json!({
        "machine": Machine::this(),
        "rounds": rounds,
        "connections": connections,
        "weights": WEIGHTS,
        "figures": figures.iter().map(|it| (it.key, it.title)).collect::<BTreeMap<_, _>>(),
        "contenders": comparison.json(&figures),
    })
}
